// Generates an image with the C code of a model, and prints it as text: main [LABEL [SEED]]
//
//     cgan-export digits.onnx --c c
//     cc -O3 -c c/digits.c -o digits.o
//     rustc --edition 2021 -O main.rs -C link-arg=digits.o && ./main 3 7

const HEIGHT: usize = 28; // DIGITS_HEIGHT and DIGITS_WIDTH of digits.h
const WIDTH: usize = 28;

extern "C" {
    fn digits_generate(seed: u64, index: u64, label: i32, image: *mut u8) -> i32;
}

/// Generates image number `index` of a seed, or returns None if label or index is out of range.
fn generate(seed: u64, index: u64, label: i32) -> Option<[u8; HEIGHT * WIDTH]> {
    let mut image = [0; HEIGHT * WIDTH];
    let code = unsafe { digits_generate(seed, index, label, image.as_mut_ptr()) };
    (code == 0).then_some(image)
}

fn fail(message: &str) -> ! {
    eprintln!("error: {message}");
    std::process::exit(2);
}

fn main() {
    let numbers: Result<Vec<u64>, _> = std::env::args().skip(1).map(|each| each.parse()).collect();
    let (label, seed) = match numbers.as_deref() {
        Ok([]) => (0, 0),
        Ok(&[label]) => (label, 0),
        Ok(&[label, seed]) => (label, seed),
        _ => fail("the arguments must be two whole numbers at most, LABEL and SEED"),
    };
    let Some(image) = i32::try_from(label).ok().and_then(|each| generate(seed, 0, each)) else {
        fail(&format!("LABEL must be 0 to 9, got {label}"));
    };
    for row in image.chunks(WIDTH) {
        let text = row.iter().map(|&pixel| b" .:-=+*%@"[usize::from(pixel / 29)] as char);
        println!("{}", text.collect::<String>());
    }
}

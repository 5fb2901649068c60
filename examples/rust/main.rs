// Generates an image with the C code of a model, and prints it as text.
//
//     cgan-export digits.onnx --c c
//     cc -O3 -c c/digits.c -o digits.o
//     rustc --edition 2021 -O main.rs -C link-arg=digits.o && ./main 3 7

const HEIGHT: usize = 28; // DIGITS_HEIGHT and DIGITS_WIDTH of digits.h
const WIDTH: usize = 28;

extern "C" {
    fn digits_generate(seed: u64, index: u64, label: i32, image: *mut u8) -> i32;
}

/// Generates image number `index` of a seed; None if label or index is out of range.
fn generate(seed: u64, index: u64, label: i32) -> Option<[u8; HEIGHT * WIDTH]> {
    let mut image = [0; HEIGHT * WIDTH];
    let code = unsafe { digits_generate(seed, index, label, image.as_mut_ptr()) };
    (code == 0).then_some(image)
}

fn main() {
    let numbers: Vec<u64> = std::env::args().skip(1).map_while(|each| each.parse().ok()).collect();
    let label = numbers.first().map_or(0, |&each| i32::try_from(each).unwrap_or(-1));
    let seed = numbers.get(1).copied().unwrap_or(0);
    let Some(image) = generate(seed, 0, label) else {
        eprintln!("error: LABEL must be 0 to 9, got {label}");
        std::process::exit(2);
    };
    for row in image.chunks(WIDTH) {
        let text = row.iter().map(|&pixel| b" .:-=+*%@"[usize::from(pixel / 29)] as char);
        println!("{}", text.collect::<String>());
    }
}

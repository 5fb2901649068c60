/* $about */
#include "$name.h"

#include <stddef.h>

/* Place the constants elsewhere, for example with
 * -D'${NAME}_CONST=const __attribute__((section(".external_flash")))'. */
#ifndef ${NAME}_CONST
#define ${NAME}_CONST const
#endif

/* Rows are added in functions of their own with a constant length, which gcc -O2 vectorizes. */
#if defined(__GNUC__)
#define NOINLINE __attribute__((noinline))
#else
#define NOINLINE
#endif

#define BLOCK 128 /* sums that are computed at a time */
#define STATE_BYTES $state_bytes /* of a hidden layer */
#define MAX_ROWS $max_rows /* inputs of a sum */
#define LAYERS $layer_count
#define UNITS $units /* of the first layer */

/* A convolution of bytes [height][width][channels]. A linear layer is one of a single pixel. */
typedef struct {
    const int8_t *weights;   /* [kernel height][kernel width][inputs][outputs] */
    const int32_t *biases;   /* [outputs], or NULL */
    const uint32_t *scales;  /* [outputs]: 24 bits of fraction, 8 bits of shift */
    const uint32_t *offsets; /* [outputs]: position in a pixel, or NULL */
    int32_t inputs, outputs, height, width, output_height, output_width;
    int32_t kernel_height, kernel_width, top, left, row_stride, column_stride;
    int32_t row_pitch, column_pitch; /* distance of the outputs' rows and columns */
    int32_t zero;
} layer_t;

const char *const ${name}_class_names[${NAME}_CLASSES] = {
    $class_names
};

$arrays

static ${NAME}_CONST layer_t layers[LAYERS] = {
    $layers
};

/* Multiply two numbers; return the low 64 bits. */
static uint64_t multiply(uint64_t a, uint64_t b, uint64_t *high)
{
    uint64_t a0 = a & 0xffffffffu, a1 = a >> 32, b0 = b & 0xffffffffu, b1 = b >> 32;
    uint64_t low = a0 * b0, middle = a1 * b0 + (low >> 32), other = a0 * b1 + (middle & 0xffffffffu);
    *high = a1 * b1 + (middle >> 32) + (other >> 32);
    return (other << 32) | (low & 0xffffffffu);
}

/* Compute Philox4x64-10 (Salmon et al. 2011) of a counter below 2^128. */
static void philox(uint64_t seed, uint64_t low, uint64_t high, uint64_t words[4])
{
    uint64_t a = low, b = high, c = 0, d = 0, key0 = seed, key1 = 0;
    int32_t round;
    for (round = 0; round < 10; round++) {
        uint64_t left_high, right_high;
        uint64_t left = multiply(a, 0xd2e7470ee14c6c93u, &left_high);
        uint64_t right = multiply(c, 0xca5a826395121157u, &right_high);
        a = right_high ^ b ^ key0;
        b = right;
        c = left_high ^ d ^ key1;
        d = left;
        key0 += 0x9e3779b97f4a7c15u;
        key1 += 0xbb67ae8584caa73bu;
    }
    words[0] = a;
    words[1] = b;
    words[2] = c;
    words[3] = d;
}

/* Return the standard normal, times 32, of a 16-bit number. */
static int8_t normal(uint32_t number)
{
    uint32_t folded = number < 32768 ? number : 65535 - number;
    int32_t below = 0, step;
    for (step = 64; step > 0; step /= 2) {
        if (thresholds[below + step - 1] <= folded) {
            below += step;
        }
    }
    return (int8_t)(number < 32768 ? below - 127 : 127 - below);
}

/* Fill the noise of an image; the model contract of cgan specifies it. */
static void make_noise(uint64_t seed, uint64_t index, int8_t *noise)
{
    const uint32_t counters = (${NAME}_NOISE_DIM + 15) / 16;
    uint64_t words[4];
    uint32_t i;
    for (i = 0; i < ${NAME}_NOISE_DIM; i++) {
        if (i % 16 == 0) {
            uint64_t high, first = multiply(index, counters, &high), low = first + i / 16 + 1;
            philox(seed, low, high + (low < first), words);
        }
        noise[i] = normal((uint32_t)(words[i / 4 % 4] >> (i % 4 * 16)) & 0xffff);
    }
}

/* Round a number to 24 significant bits, half to even, as float32 does. */
static uint64_t round_to_float(uint64_t number)
{
    uint32_t drop = 0;
    uint64_t rest, half;
    while (number >> drop >> 24) {
        drop++;
    }
    rest = number & (((uint64_t)1 << drop) - 1);
    half = ((uint64_t)1 << drop) >> 1;
    number >>= drop;
    number += rest > half || (drop > 0 && rest == half && number % 2 == 1);
    return number << drop;
}

/* Return float32(float32(sum) * scale), rounded half to even, plus zero, from 0 to 255.
 * The rounding to float32 matters only near half a step, so it is computed only there. */
static uint8_t requantize(int32_t sum, uint32_t scale, int32_t zero)
{
    uint32_t magnitude = sum < 0 ? 0u - (uint32_t)sum : (uint32_t)sum, shift = scale & 255;
    uint64_t half = (uint64_t)1 << (shift - 1), product, rest, steps;
    int32_t byte;
    product = (magnitude >> 24 ? round_to_float(magnitude) : magnitude) * (uint64_t)(scale >> 8);
    rest = product & (2 * half - 1);
    if ((rest < half ? half - rest : rest - half) <= product >> 24) {
        product = round_to_float(product);
        rest = product & (2 * half - 1);
    }
    steps = product >> shift;
    steps += rest > half || (rest == half && steps % 2 == 1);
    byte = steps > 255 ? 255 : (int32_t)steps;
    byte = sum < 0 ? zero - byte : zero + byte;
    return (uint8_t)(byte < 0 ? 0 : byte > 255 ? 255 : byte);
}

/* Return the byte of a sum of the first layer: how many of the 255 steps it reaches. */
static uint8_t first_byte(int32_t sum, const int32_t *steps, uint32_t reciprocal)
{
    int32_t byte;
    if (sum < steps[0] || sum >= steps[254]) {
        return sum < steps[0] ? 0 : 255;
    }
    byte = (int32_t)(((uint64_t)(uint32_t)sum * reciprocal) >> 32); /* a guess */
    byte = byte > 254 ? 254 : byte;
    while (sum >= steps[byte]) {
        byte++;
    }
    while (sum < steps[byte - 1]) {
        byte--;
    }
    return (uint8_t)byte;
}

#define ADD_NOISE(length) \
    int32_t j; \
    for (j = 0; j < (length); j++) { \
        sums[j] += noise * weights[j]; \
    }

static NOINLINE void add_noise_block(int32_t *restrict sums, const int16_t *restrict weights,
                                     int32_t noise)
{
    ADD_NOISE(BLOCK)
}

static void add_noise(int32_t *restrict sums, const int16_t *restrict weights, int32_t noise,
                      int32_t length)
{
    ADD_NOISE(length)
}

static void run_first_layer(const int8_t *noise, int32_t label, uint8_t *output)
{
    int32_t sums[BLOCK];
    int32_t first, i, j;
    for (first = 0; first < UNITS; first += BLOCK) {
        int32_t length = UNITS - first < BLOCK ? UNITS - first : BLOCK;
        for (j = 0; j < length; j++) {
            sums[j] = label_table[label * UNITS + first + j];
        }
        for (i = 0; i < ${NAME}_NOISE_DIM; i++) {
            const int16_t *weights = noise_weights + i * UNITS + first;
            if (length == BLOCK) {
                add_noise_block(sums, weights, noise[i]);
            } else {
                add_noise(sums, weights, noise[i], length);
            }
        }
        for (j = 0; j < length; j++) {
            uint32_t group = unit_groups[first + j];
            output[first + j] = first_byte(sums[j], byte_steps + 255 * group, reciprocals[group]);
        }
    }
}

#define ADD_ROWS(length) \
    int32_t j; \
    for (j = 0; j < (length); j++) { \
        sums[j] += x0 * w0[j] + x1 * w1[j] + x2 * w2[j] + x3 * w3[j]; \
    }

static NOINLINE void add_rows_block(int32_t *restrict sums, const int8_t *restrict w0,
                                    const int8_t *restrict w1, const int8_t *restrict w2,
                                    const int8_t *restrict w3, uint8_t x0, uint8_t x1, uint8_t x2,
                                    uint8_t x3)
{
    ADD_ROWS(BLOCK)
}

static void add_rows(int32_t *restrict sums, const int8_t *restrict w0, const int8_t *restrict w1,
                     const int8_t *restrict w2, const int8_t *restrict w3, uint8_t x0, uint8_t x1,
                     uint8_t x2, uint8_t x3, int32_t length)
{
    ADD_ROWS(length)
}

/* List the inputs of a pixel that are not zero: their rows of weights and their values.
 * Return their number, which is padded to a multiple of four. */
static int32_t list_inputs(const layer_t *layer, const uint8_t *input, int32_t row, int32_t column,
                           uint16_t *rows, uint8_t *values)
{
    int32_t count = 0, y, x, channel;
    for (y = 0; y < layer->kernel_height; y++) {
        int32_t from_row = row * layer->row_stride + y - layer->top;
        for (x = 0; x < layer->kernel_width; x++) {
            int32_t from = column * layer->column_stride + x - layer->left;
            int32_t weights_row = (y * layer->kernel_width + x) * layer->inputs;
            const uint8_t *pixel = input;
            if (from_row < 0 || from_row >= layer->height || from < 0 || from >= layer->width) {
                continue;
            }
            pixel += (from_row * layer->width + from) * layer->inputs;
            for (channel = 0; channel < layer->inputs; channel++) {
                rows[count] = (uint16_t)(weights_row + channel);
                values[count] = pixel[channel];
                count += pixel[channel] != 0;
            }
        }
    }
    for (; count % 4 != 0; count++) {
        rows[count] = 0;
        values[count] = 0;
    }
    return count;
}

/* Compute one pixel of a layer, all channels. */
static void run_pixel(const layer_t *layer, const uint16_t *rows, const uint8_t *x, int32_t count,
                      uint8_t *output)
{
    int32_t sums[BLOCK];
    int32_t first, i, j, outputs = layer->outputs;
    for (first = 0; first < outputs; first += BLOCK) {
        int32_t length = outputs - first < BLOCK ? outputs - first : BLOCK;
        const int8_t *w = layer->weights + first;
        for (j = 0; j < length; j++) {
            sums[j] = layer->biases ? layer->biases[first + j] : 0;
        }
        for (i = 0; i < count; i += 4) {
            const int8_t *w0 = w + rows[i] * outputs, *w1 = w + rows[i + 1] * outputs;
            const int8_t *w2 = w + rows[i + 2] * outputs, *w3 = w + rows[i + 3] * outputs;
            if (length == BLOCK) {
                add_rows_block(sums, w0, w1, w2, w3, x[i], x[i + 1], x[i + 2], x[i + 3]);
            } else {
                add_rows(sums, w0, w1, w2, w3, x[i], x[i + 1], x[i + 2], x[i + 3], length);
            }
        }
        for (j = 0; j < length; j++) {
            uint32_t to = layer->offsets ? layer->offsets[first + j] : (uint32_t)(first + j);
            output[to] = requantize(sums[j], layer->scales[first + j], layer->zero);
        }
    }
}

static void run_layer(const layer_t *layer, const uint8_t *input, uint8_t *output)
{
    uint16_t rows[MAX_ROWS + 3];
    uint8_t values[MAX_ROWS + 3];
    int32_t row, column, count;
    for (row = 0; row < layer->output_height; row++) {
        for (column = 0; column < layer->output_width; column++) {
            uint8_t *pixel = output + row * layer->row_pitch + column * layer->column_pitch;
            count = list_inputs(layer, input, row, column, rows, values);
            run_pixel(layer, rows, values, count, pixel);
        }
    }
}

int32_t ${name}_generate_from_noise(const int8_t *noise, int32_t label, uint8_t *image)
{
    uint8_t state[2][STATE_BYTES];
    int32_t i;
    for (i = 0; i < ${NAME}_NOISE_DIM; i++) {
        if (noise[i] == -128) {
            return -1;
        }
    }
    if (label < 0 || label >= ${NAME}_CLASSES) {
        return -1;
    }
    run_first_layer(noise, label, state[0]);
    for (i = 0; i < LAYERS; i++) {
        run_layer(layers + i, state[i % 2], i == LAYERS - 1 ? image : state[(i + 1) % 2]);
    }
    for (i = 0; i < ${NAME}_IMAGE_BYTES; i++) {
        image[i] = pixels[image[i]];
    }
    return 0;
}

int32_t ${name}_generate(uint64_t seed, uint64_t index, int32_t label, uint8_t *image)
{
    int8_t noise[${NAME}_NOISE_DIM];
    if (index >> 63) {
        return -1;
    }
    make_noise(seed, index, noise);
    return ${name}_generate_from_noise(noise, label, image);
}

int32_t ${name}_selftest(void)
{
    uint8_t image[${NAME}_IMAGE_BYTES];
    uint64_t hash = 0xcbf29ce484222325u; /* FNV-1a, 64 bits */
    uint32_t i, j;
    for (i = 0; i < sizeof(golden_labels) / sizeof(*golden_labels); i++) {
        if (${name}_generate(${golden_seed}u, i, golden_labels[i], image) != 0) {
            return -1;
        }
        for (j = 0; j < ${NAME}_IMAGE_BYTES; j++) {
            hash = (hash ^ image[j]) * 0x100000001b3u;
        }
    }
    return hash == ${golden_hash}u ? 0 : -1;
}

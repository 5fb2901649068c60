/* $about */
#include "$name.h"

#include <stddef.h>

/* Storage of the constants, for example const __attribute__((section(".external_flash"))). */
#ifndef ${NAME}_CONST
#define ${NAME}_CONST const
#endif

#ifdef __GNUC__
#define NOINLINE __attribute__((noinline)) /* otherwise gcc -O2 does not vectorize the loops */
#else
#define NOINLINE
#endif

#define NOISE_DIM ${NAME}_NOISE_DIM
#define UNITS ((int32_t)sizeof(unit_groups)) /* outputs of the first layer */
#define LAYERS ((int32_t)(sizeof(layers) / sizeof(*layers))) /* layers after the first */
#define MAX_SUMS 128 /* sums that are computed at a time */

/* A convolution. Its outputs at one pixel form a block of pixels of the next feature map (pixel
 * shuffle). A linear layer is a convolution of a single pixel. Feature maps have the layout
 * [height][width][channels]. */
typedef struct {
    const int8_t *weights; /* [kernel][kernel][channels][outputs] */
    const int32_t *biases; /* [outputs], or NULL */
    const uint32_t *scales; /* [outputs]: fraction (24 bits), shift (8 bits) */
    int32_t zero_point, kernel, height, width, channels; /* zero point, sizes of kernel and input */
    int32_t outputs, block_row; /* numbers of outputs in a block and in a row of the block */
} layer_t;

const char *const ${name}_class_names[${NAME}_CLASSES] = {
    $class_names
};

$arrays
static const layer_t layers[] = {
    $layers
};

/* Multiply two numbers; return the low 64 bits. */
static uint64_t multiply(uint64_t a, uint64_t b, uint64_t *high)
{
    uint64_t a0 = a & 0xffffffffu, a1 = a >> 32, b0 = b & 0xffffffffu, b1 = b >> 32;
    uint64_t low = a0 * b0, middle = a1 * b0 + (low >> 32);
    uint64_t other = a0 * b1 + (middle & 0xffffffffu);
    *high = a1 * b1 + (middle >> 32) + (other >> 32);
    return (other << 32) | (low & 0xffffffffu);
}

/* Encrypt a counter in place with Philox4x64-10 (Salmon et al. 2011). */
static void philox(uint64_t seed, uint64_t words[4])
{
    uint64_t key0 = seed, key1 = 0, left, right;
    int32_t round;
    for (round = 0; round < 10; round++) {
        uint64_t left_low = multiply(words[0], 0xd2e7470ee14c6c93u, &left);
        uint64_t right_low = multiply(words[2], 0xca5a826395121157u, &right);
        words[0] = right ^ words[1] ^ key0;
        words[1] = right_low;
        words[2] = left ^ words[3] ^ key1;
        words[3] = left_low;
        key0 += 0x9e3779b97f4a7c15u;
        key1 += 0xbb67ae8584caa73bu;
    }
}

/* Return how many of 2 * middle - 1 ascending thresholds are at most the value. */
static int32_t count_reached(int32_t value, const int32_t *thresholds, int32_t middle)
{
    int32_t reached = 0;
    for (; middle > 0; middle /= 2) {
        reached += thresholds[reached + middle - 1] <= value ? middle : 0;
    }
    return reached;
}

/* Fill the noise of an image (docs/contract.md of cgan). */
static void make_noise(uint64_t seed, uint64_t index, int8_t *noise)
{
    uint64_t words[4] = {0, 0, 0, 0}, high, first = multiply(index, (NOISE_DIM + 15) / 16, &high);
    int32_t number, reached;
    uint32_t i;
    for (i = 0; i < NOISE_DIM; i++) {
        if (i % 16 == 0) {
            words[0] = first + i / 16 + 1;
            words[1] = high + (words[0] < first);
            words[2] = words[3] = 0;
            philox(seed, words);
        }
        number = (int32_t)(words[i / 4 % 4] >> (i % 4 * 16) & 0xffff);
        reached = count_reached(number < 32768 ? number : 65535 - number, noise_thresholds, 64);
        noise[i] = (int8_t)(number < 32768 ? reached - 127 : 127 - reached);
    }
}

/* Shift a number to the right; round half to even. */
static uint64_t shift_right(uint64_t number, uint32_t bits)
{
    uint64_t half = ((uint64_t)1 << bits) >> 1, odd = number >> bits & 1;
    return bits == 0 ? number : (number + half - 1 + odd) >> bits;
}

/* Round a number to 24 significant bits, as float32 does. */
static uint64_t round_to_float(uint64_t number)
{
    uint32_t bits = 0;
    while (number >> bits >> 24) {
        bits++;
    }
    return shift_right(number, bits) << bits;
}

/* Return float32(float32(sum) * scale), rounded half to even, plus zero_point, from 0 to 255. The
 * two roundings to float32 change the product by less than 2^-14. They matter only near a tie,
 * halfway between two integers. Otherwise the exact product is used. */
static uint8_t requantize(int32_t sum, uint32_t scale, int32_t zero_point)
{
    const uint32_t fraction = scale >> 8, shift = scale & 255;
    const int64_t half = (int64_t)1 << (shift - 1), margin = (half >> 13) + 1;
    int64_t byte, product = sum * (int64_t)fraction + (2 * zero_point + 1) * half;
    if (product < 0) {
        return 0;
    }
    byte = product >> shift;
    if (((product + margin) & (2 * half - 1)) <= 2 * margin) {
        uint64_t magnitude = round_to_float(sum < 0 ? 0u - (uint32_t)sum : (uint32_t)sum);
        int64_t rounded = (int64_t)shift_right(round_to_float(magnitude * fraction), shift);
        byte = sum < 0 ? zero_point - rounded : zero_point + rounded;
    }
    return (uint8_t)(byte < 0 ? 0 : byte > 255 ? 255 : byte);
}

/* Compilers vectorize only the loop of a constant length. */
#define FOR_EACH_SUM(j, length, statement) \
    if (length == MAX_SUMS) { \
        for (j = 0; j < MAX_SUMS; j++) { statement } \
    } else { \
        for (j = 0; j < length; j++) { statement } \
    }

/* Add a row of weights times a noise value. */
static NOINLINE void add_noise(int32_t *restrict sums, const int16_t *restrict weights,
                               int16_t noise, int32_t length)
{
    int32_t j;
    FOR_EACH_SUM(j, length, sums[j] += (int32_t)noise * weights[j];)
}

static void run_first_layer(const int8_t *noise, int32_t label, uint8_t *output)
{
    int32_t sums[MAX_SUMS], first, i, j;
    for (first = 0; first < UNITS; first += MAX_SUMS) {
        int32_t length = UNITS - first < MAX_SUMS ? UNITS - first : MAX_SUMS;
        for (j = 0; j < length; j++) {
            sums[j] = label_table[label * UNITS + first + j];
        }
        for (i = 0; i < NOISE_DIM; i++) {
            add_noise(sums, noise_weights + i * UNITS + first, noise[i], length);
        }
        for (j = 0; j < length; j++) {
            const int32_t *thresholds = unit_thresholds + 255 * unit_groups[first + j];
            output[first + j] = (uint8_t)count_reached(sums[j], thresholds, 128);
        }
    }
}

#define PRODUCT(x, w) ((int32_t)((x) * (w)[j])) /* 255 * 127 fits into 16 bits */

/* Add four rows of weights times four values. */
static NOINLINE void add_rows(int32_t *restrict sums, const int8_t *w, const uint16_t *rows,
                              int32_t outputs, const uint8_t *x, int32_t length)
{
    const int8_t *restrict w0 = w + rows[0] * outputs, *restrict w1 = w + rows[1] * outputs;
    const int8_t *restrict w2 = w + rows[2] * outputs, *restrict w3 = w + rows[3] * outputs;
    const uint8_t x0 = x[0], x1 = x[1], x2 = x[2], x3 = x[3];
    int32_t j;
    FOR_EACH_SUM(j, length, sums[j] += PRODUCT(x0, w0) + PRODUCT(x1, w1) + PRODUCT(x2, w2) +
                                       PRODUCT(x3, w3);)
}

/* List the inputs of a pixel that are not zero: their rows of weights and their values.
 * Return the number of inputs, padded to a multiple of four. */
static int32_t list_inputs(const layer_t *layer, const uint8_t *input, int32_t y, int32_t x,
                           uint16_t *rows, uint8_t *values)
{
    const int32_t kernel = layer->kernel, channels = layer->channels, width = layer->width;
    const int32_t top = y - kernel / 2, left = x - kernel / 2;
    const int32_t begin = left < 0 ? -left : 0, end = left + kernel > width ? width - left : kernel;
    int32_t count = 0, line, i;
    for (line = top < 0 ? -top : 0; line < kernel && top + line < layer->height; line++) {
        const int32_t row = line * kernel * channels;
        const int32_t offset = ((top + line) * width + left) * channels;
        for (i = begin * channels; i < end * channels; i++) {
            rows[count] = (uint16_t)(row + i);
            values[count] = input[offset + i];
            count += input[offset + i] != 0;
        }
    }
    for (; count % 4 != 0; count++) {
        rows[count] = values[count] = 0;
    }
    return count;
}

static void run_layer(const layer_t *layer, const uint8_t *input, uint8_t *output)
{
    const int32_t outputs = layer->outputs, width = layer->width, block_row = layer->block_row;
    int32_t sums[MAX_SUMS], pixel, first, i, j;
    uint16_t rows[$max_inputs + 3];
    uint8_t values[$max_inputs + 3];
    for (pixel = 0; pixel < layer->height * width; pixel++) {
        const int32_t y = pixel / width, x = pixel % width;
        const int32_t count = list_inputs(layer, input, y, x, rows, values);
        int32_t offset = y * width * outputs + x * block_row, column = 0;
        for (first = 0; first < outputs; first += MAX_SUMS) {
            int32_t length = outputs - first < MAX_SUMS ? outputs - first : MAX_SUMS;
            for (j = 0; j < length; j++) {
                sums[j] = layer->biases ? layer->biases[first + j] : 0;
            }
            for (i = 0; i < count; i += 4) {
                add_rows(sums, layer->weights + first, rows + i, outputs, values + i, length);
            }
            for (j = 0; j < length; j++) {
                output[offset++] = requantize(sums[j], layer->scales[first + j], layer->zero_point);
                if (++column == block_row) { /* the next row of the block */
                    offset += (width - 1) * block_row;
                    column = 0;
                }
            }
        }
    }
}

int32_t ${name}_generate_from_noise(const int8_t *noise, int32_t label, uint8_t *image)
{
    uint8_t state[2][$state_bytes], *last = ($in_place) ? image : state[LAYERS % 2];
    int32_t i, channel, y, x;
    if (label < 0 || label >= ${NAME}_CLASSES) {
        return -1;
    }
    for (i = 0; i < NOISE_DIM; i++) {
        if (noise[i] == -128) {
            return -1;
        }
    }
    run_first_layer(noise, label, state[0]);
    for (i = 0; i < LAYERS; i++) {
        run_layer(layers + i, state[i % 2], i == LAYERS - 1 ? last : state[1 - i % 2]);
    }
    for (channel = 0; channel < ${NAME}_CHANNELS; channel++) {
        for (y = 0; y < ${NAME}_HEIGHT; y++) {
            for (x = 0; x < ${NAME}_WIDTH; x++) {
                *image++ = pixels[last[(y * $last_width + x) * ${NAME}_CHANNELS + channel]];
            }
        }
    }
    return 0;
}

int32_t ${name}_generate(uint64_t seed, uint64_t index, int32_t label, uint8_t *image)
{
    int8_t noise[NOISE_DIM];
    make_noise(seed, index, noise);
    return index >> 63 ? -1 : ${name}_generate_from_noise(noise, label, image);
}

int32_t ${name}_selftest(void)
{
    uint8_t image[${NAME}_IMAGE_BYTES];
    uint64_t hash = 0xcbf29ce484222325u; /* FNV-1a */
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

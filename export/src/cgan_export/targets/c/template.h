/* $about
 *
 * Self-contained C99: no floating point, no allocation, no state, reentrant. Every processor
 * computes the same bytes as cgan-run. In an Arduino sketch, put $name.h and $name.c beside the
 * .ino file.
 */
#ifndef ${NAME}_H
#define ${NAME}_H

#include <stdint.h>

#define ${NAME}_CLASSES $classes
#define ${NAME}_CHANNELS $channels
#define ${NAME}_HEIGHT $height
#define ${NAME}_WIDTH $width
#define ${NAME}_IMAGE_BYTES ($channels * $height * $width)
#define ${NAME}_NOISE_DIM $noise_dim
#define ${NAME}_MODEL_SHA256 "$sha256"

/* Size of the constants and largest stack use, in bytes. ${name}_selftest() needs
 * ${NAME}_IMAGE_BYTES more bytes of stack. */
#define ${NAME}_CONSTANT_BYTES $constant_bytes
#define ${NAME}_STACK_BYTES $stack_bytes

#ifdef __cplusplus
extern "C" {
#endif

extern const char *const ${name}_class_names[${NAME}_CLASSES];

/* Generate image number `index` of a seed: uint8 [channels][height][width].
 * label: 0 to ${NAME}_CLASSES - 1. index: 0 to 2^63 - 1.
 * Return 0, or -1 if label or index is out of range; then the image is unchanged. */
int32_t ${name}_generate(uint64_t seed, uint64_t index, int32_t label, uint8_t *image);

/* Generate the image of a given noise: ${NAME}_NOISE_DIM standard normal values times 32, rounded.
 * label: 0 to ${NAME}_CLASSES - 1. noise: values from -127 to 127.
 * Return 0, or -1 if label or noise is out of range; then the image is unchanged. */
int32_t ${name}_generate_from_noise(const int8_t *noise, int32_t label, uint8_t *image);

/* Generate the golden sample of the model. Return 0 if it has the expected bytes, otherwise -1. */
int32_t ${name}_selftest(void);

#ifdef __cplusplus
}
#endif

#endif

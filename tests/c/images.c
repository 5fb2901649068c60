/* Write COUNT images of a seed to stdout: images SEED START COUNT. The labels cycle through the
 * classes. The exit code is 1 if a check of the API fails. */
#include "net.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int check_errors(uint8_t *image, int8_t *noise)
{
    memset(image, 7, NET_IMAGE_BYTES);
    memset(noise, 0, NET_NOISE_DIM);
    if (net_generate(0, 0, -1, image) != -1 || net_generate(0, 0, NET_CLASSES, image) != -1 ||
        net_generate(0, (uint64_t)1 << 63, 0, image) != -1) {
        return 1;
    }
    noise[NET_NOISE_DIM - 1] = -128;
    return net_generate_from_noise(noise, 0, image) != -1 || image[0] != 7 ||
           image[NET_IMAGE_BYTES - 1] != 7;
}

int main(int argc, char **argv)
{
    static uint8_t image[NET_IMAGE_BYTES];
    static int8_t noise[NET_NOISE_DIM];
    uint64_t i, seed, start, count;
    if (argc != 4 || net_selftest() != 0 || check_errors(image, noise) != 0) {
        return 1;
    }
    seed = strtoull(argv[1], NULL, 10);
    start = strtoull(argv[2], NULL, 10);
    count = strtoull(argv[3], NULL, 10);
    for (i = 0; i < count; i++) {
        if (net_generate(seed, start + i, (int32_t)(i % NET_CLASSES), image) != 0) {
            return 1;
        }
        fwrite(image, 1, sizeof(image), stdout);
    }
    return fflush(stdout) != 0;
}

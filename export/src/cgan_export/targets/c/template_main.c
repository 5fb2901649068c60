/* Write an image as PGM (gray) or PPM (color): ${name} [LABEL [SEED [INDEX]]] > image.pgm */
#include "../$name.h"

#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv)
{
    static uint8_t image[${NAME}_IMAGE_BYTES];
    const int color = ${NAME}_CHANNELS == 3, plane = ${NAME}_HEIGHT * ${NAME}_WIDTH;
    uint64_t seed = argc > 2 ? strtoull(argv[2], NULL, 10) : 0;
    uint64_t index = argc > 3 ? strtoull(argv[3], NULL, 10) : 0;
    int i, label = argc > 1 ? atoi(argv[1]) : 0;
    if (${name}_selftest() != 0) {
        fprintf(stderr, "error: the golden sample differs; try another compiler\n");
        return 1;
    }
    if (${name}_generate(seed, index, label, image) != 0) {
        fprintf(stderr, "error: LABEL must be 0 to %d, INDEX below 2^63\n", ${NAME}_CLASSES - 1);
        return 2;
    }
    printf("P%d\n%d %d\n255\n", color ? 6 : 5, ${NAME}_WIDTH,
           ${NAME}_HEIGHT * (color ? 1 : ${NAME}_CHANNELS));
    for (i = 0; i < ${NAME}_IMAGE_BYTES; i++) {
        putchar(image[color ? i % 3 * plane + i / 3 : i]);
    }
    return fflush(stdout) != 0;
}

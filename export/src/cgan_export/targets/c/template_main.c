/* Writes an image as PGM (gray) or PPM (color): ${name}_main [LABEL [SEED [INDEX]]] > image.pgm */
#include "../$name.h"

#include <stdio.h>
#include <stdlib.h>

static uint64_t number(int argc, char **argv, int position)
{
    return argc > position ? strtoull(argv[position], NULL, 10) : 0;
}

int main(int argc, char **argv)
{
    static uint8_t image[${NAME}_IMAGE_BYTES];
    const int color = ${NAME}_CHANNELS == 3, plane = ${NAME}_HEIGHT * ${NAME}_WIDTH;
    int i;
    uint64_t label = number(argc, argv, 1), seed = number(argc, argv, 2);
    if (${name}_selftest() != 0) {
        fprintf(stderr, "error: the golden sample differs; compile $name.c again\n");
        return 1;
    }
    if (label >= ${NAME}_CLASSES ||
        ${name}_generate(seed, number(argc, argv, 3), (int32_t)label, image) != 0) {
        fprintf(stderr, "error: LABEL must be 0 to %d, INDEX below 2^63\n", ${NAME}_CLASSES - 1);
        return 2;
    }
    printf("P%d\n%d %d\n255\n", color ? 6 : 5, ${NAME}_WIDTH,
           color ? ${NAME}_HEIGHT : ${NAME}_HEIGHT * ${NAME}_CHANNELS);
    for (i = 0; i < ${NAME}_IMAGE_BYTES; i++) {
        putchar(image[color ? i % 3 * plane + i / 3 : i]);
    }
    return fflush(stdout) != 0 || ferror(stdout) != 0;
}

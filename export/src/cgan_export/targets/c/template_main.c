/* Write an image as PGM (gray) or PPM (color): ${name} [LABEL [SEED [INDEX]]] > image.pgm */
#include "../$name.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv)
{
    static uint8_t image[${NAME}_IMAGE_BYTES];
    const int channels = ${NAME}_CHANNELS, plane = ${NAME}_HEIGHT * ${NAME}_WIDTH;
    uint64_t numbers[3] = {0, 0, 0};
    char *end = "";
    int i;
    for (i = 1; i < argc && i <= 3 && *end == '\0' && isdigit((unsigned char)*argv[i]); i++) {
        numbers[i - 1] = strtoull(argv[i], &end, 10);
    }
    if (${name}_selftest() != 0) {
        fprintf(stderr, "error: the golden sample differs; try another compiler\n");
        return 1;
    }
    if (i < argc || *end != '\0' || errno != 0 || numbers[0] >= ${NAME}_CLASSES ||
        ${name}_generate(numbers[1], numbers[2], (int32_t)numbers[0], image) != 0) {
        fprintf(stderr, "error: LABEL must be 0 to %d, SEED below 2^64, INDEX below 2^63\n",
                ${NAME}_CLASSES - 1);
        return 2;
    }
    printf("P%d\n%d %d\n255\n", ${NAME}_CHANNELS == 3 ? 6 : 5, ${NAME}_WIDTH, ${NAME}_HEIGHT);
    for (i = 0; i < ${NAME}_IMAGE_BYTES; i++) {
        putchar(image[i % channels * plane + i / channels]);
    }
    if (fflush(stdout) == 0 && !ferror(stdout)) {
        return 0;
    }
    perror("error: cannot write the image");
    return 1;
}

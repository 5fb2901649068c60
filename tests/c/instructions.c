/* Print how many instructions an image takes on an emulated Cortex-M: the mean of 100 images.
 *
 * With -icount shift=0 qemu's clock advances by 1 ns per instruction. SysTick counts down at 25 MHz,
 * so one tick is 40 instructions. */
#include "net.h"

#include <stdio.h>

#define SYSTICK ((volatile uint32_t *)0xe000e010)
#define IMAGES 100

int main(void)
{
    static uint8_t image[NET_IMAGE_BYTES];
    uint64_t ticks = 0;
    uint32_t i;
    SYSTICK[1] = 0xffffff; /* the value that it starts again from */
    SYSTICK[0] = 5; /* enabled, with the processor's clock */
    for (i = 0; i < IMAGES; i++) {
        uint32_t before = SYSTICK[2];
        if (net_generate(1, i, (int32_t)(i % NET_CLASSES), image) != 0) {
            return 1;
        }
        ticks += (before - SYSTICK[2]) & 0xffffff;
    }
    printf("%lu\n", (unsigned long)(ticks * 40 / IMAGES));
    return 0;
}

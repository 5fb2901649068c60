/* Print how many instructions an image takes on an emulated Cortex-M, the mean of 100 images, and
 * how many bytes of stack net_generate() uses at most.
 *
 * With -icount shift=0 qemu's clock advances by 1 ns per instruction. SysTick counts down at 25 MHz,
 * so that one tick is 40 instructions. The stack below main() is filled with a pattern. */
#include "net.h"

#include <stdio.h>

#define SYSTICK ((volatile uint32_t *)0xe000e010)
#define IMAGES 100
#define STACK_FILL_BYTES 1048576

static __attribute__((noinline)) uint32_t run(void)
{
    static uint8_t image[NET_IMAGE_BYTES];
    uint32_t i, ticks = 0;
    for (i = 0; i < IMAGES; i++) {
        uint32_t before = SYSTICK[2];
        if (net_generate(1, i, (int32_t)(i % NET_CLASSES), image) != 0) {
            return 0;
        }
        ticks += (before - SYSTICK[2]) & 0xffffff;
    }
    return ticks;
}

int main(void)
{
    volatile uint8_t *top = (uint8_t *)__builtin_frame_address(0) - 64, *low = top - STACK_FILL_BYTES;
    volatile uint8_t *each;
    uint32_t ticks;
    for (each = low; each < top; each++) {
        *each = 0xa5;
    }
    SYSTICK[1] = 0xffffff; /* reload value */
    SYSTICK[0] = 5; /* enabled, with the processor's clock */
    ticks = run();
    for (each = low; *each == 0xa5; each++) {
    }
    printf("%lu %lu\n", (unsigned long)((uint64_t)ticks * 40 / IMAGES), (unsigned long)(top - each));
    return 0;
}

/* The vector table of a Cortex-M. qemu loads .data itself, and newlib's _start clears .bss. */
#include <stdint.h>

extern uint32_t __stack;
extern void _start(void);

__attribute__((section(".vectors"), used)) static const void *const vectors[] = {
    &__stack, (const void *)_start};

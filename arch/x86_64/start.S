// The first instructions of the kernel: 32-bit protected mode without paging, as multiboot1 and multiboot2 loaders
// leave it, up to the first C++ function in the higher half.
//
// The page tables built here live until kernel_space.cpp replaces them: physical memory 0..4 GiB at 0 (for this code), at the
// direct map's base and, its first GiB, at the kernel's base; 2 MiB pages, everything writable and executable.

#define KERNEL_BASE 0xffffffff80000000
#define PHYS(symbol) ((symbol) - KERNEL_BASE)
#define MULTIBOOT1_MAGIC 0x1BADB002
#define MULTIBOOT1_FLAGS 0x00010003 /* page-aligned modules, memory map, address fields */
#define MULTIBOOT2_MAGIC 0xE85250D6

    .section .start.headers, "a"
    .balign 8
multiboot1_header:
    .long MULTIBOOT1_MAGIC, MULTIBOOT1_FLAGS, -(MULTIBOOT1_MAGIC + MULTIBOOT1_FLAGS)
    .long multiboot1_header, image_start, load_end, bss_end, start32

    .balign 8
multiboot2_header:
    .long MULTIBOOT2_MAGIC, 0, multiboot2_end - multiboot2_header
    .long -(MULTIBOOT2_MAGIC + multiboot2_end - multiboot2_header)
    .word 0, 0
    .long 8
multiboot2_end:

    .section .start, "ax"
    .code32
    .globl start32
start32:
    cli
    cld
    movl $PHYS(boot_stack_top), %esp
    movl %eax, %edi // Loader's magic and info block: the arguments of the C++ entry, which 64-bit code finds in place.
    movl %ebx, %esi

    movl $0x80000000, %eax
    cpuid
    cmpl $0x80000001, %eax
    jb no_long_mode
    movl $0x80000001, %eax
    cpuid
    btl $29, %edx
    jnc no_long_mode

    // Four page directories map 4 GiB with 2 MiB pages: present, writable, large.
    movl $PHYS(boot_directories), %ebx
    movl $0x83, %eax
    xorl %ecx, %ecx
1:  movl %eax, (%ebx, %ecx, 8)
    addl $0x200000, %eax
    incl %ecx
    cmpl $2048, %ecx
    jb 1b

    movl $PHYS(boot_directories) + 3, %eax
    movl $PHYS(boot_pdpt_low), %ebx
    movl %eax, PHYS(boot_pdpt_high) + 510 * 8
    xorl %ecx, %ecx
2:  movl %eax, (%ebx, %ecx, 8)
    addl $4096, %eax
    incl %ecx
    cmpl $4, %ecx
    jb 2b

    movl $PHYS(boot_pdpt_low) + 3, %eax
    movl %eax, PHYS(boot_pml4)
    movl %eax, PHYS(boot_pml4) + 256 * 8
    movl $PHYS(boot_pdpt_high) + 3, PHYS(boot_pml4) + 511 * 8

    movl %cr4, %eax
    orl $0x20, %eax // PAE
    movl %eax, %cr4
    movl $PHYS(boot_pml4), %eax
    movl %eax, %cr3
    movl $0xC0000080, %ecx // EFER
    rdmsr
    orl $0x100, %eax // LME; NX waits until its presence is checked
    wrmsr
    movl %cr0, %eax
    orl $0x80010001, %eax // PG, WP, PE
    movl %eax, %cr0
    lgdt start_gdt_pointer
    ljmp $8, $start64

// Too early for the console: the one message that a processor without 64-bit mode can be given.
no_long_mode:
    movl $no_long_mode_text, %esi
    movw $0x3F8, %dx
3:  lodsb
    testb %al, %al
    jz 4f
    outb %al, %dx
    jmp 3b
4:  movb $0x13, %al
    movw $0xF4, %dx
    outb %al, %dx
5:  hlt
    jmp 5b

no_long_mode_text:
    .ascii "error: processor: 64-bit long mode is missing; use an x86-64-v2 machine "
    .asciz "(qemu: -cpu qemu64,+popcnt,+ssse3,+sse4.1,+sse4.2)\n"

    .balign 8
start_gdt:
    .quad 0, 0x00af9b000000ffff, 0x00cf93000000ffff
start_gdt_pointer:
    .word . - start_gdt - 1
    .long start_gdt

    .code64
start64:
    movl $16, %eax
    movl %eax, %ds
    movl %eax, %es
    movl %eax, %ss
    xorl %eax, %eax
    movl %eax, %fs
    movl %eax, %gs
    movq $boot_stack_top, %rsp
    xorl %ebp, %ebp // Ends the chain of frames.
    movl %edi, %edi
    movl %esi, %esi
    movq $kernel_main, %rax
    call *%rax
6:  hlt
    jmp 6b

    .section .bss
    .balign 4096
boot_pml4:        .skip 4096
boot_pdpt_low:    .skip 4096
boot_pdpt_high:   .skip 4096
boot_directories: .skip 4 * 4096
    .globl boot_stack, boot_stack_top
boot_stack:       .skip 16384
boot_stack_top:
    .section .note.GNU-stack, "", @progbits

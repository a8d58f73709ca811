// The first instructions of every other pCPU. smp.cpp copies them to a page below 1 MiB, fills in the addresses, and
// sends the start-up interrupt for that page: real mode, cs = page * 256, ip = 0. Straight into 64-bit mode: paging
// and protection are turned on in one step.
    .section .rodata.trampoline, "a"
    .globl trampoline_start, trampoline_end, trampoline_root, trampoline_code_at, trampoline_table_at
    .balign 16
    .code16
trampoline_start:
    cli
    cld
    movw %cs, %ax
    movw %ax, %ds
    lgdtl trampoline_table_pointer - trampoline_start
    movl $0x20, %eax // PAE
    movl %eax, %cr4
    movl trampoline_root - trampoline_start, %eax
    movl %eax, %cr3
    movl $0xC0000080, %ecx // EFER: long mode, and no-execute, which the tables use
    movl $0x900, %eax
    xorl %edx, %edx
    wrmsr
    movl $0x80010001, %eax // PG, WP, PE
    movl %eax, %cr0
    ljmpl *(trampoline_code_at - trampoline_start)

    .code64
trampoline_64:
    movl $16, %eax
    movl %eax, %ds
    movl %eax, %es
    movl %eax, %ss
    xorl %eax, %eax
    movl %eax, %fs
    movl %eax, %gs
    movq $other_pcpu_start, %rax
    jmp *%rax

    .balign 8
trampoline_table:
    .quad 0, 0x00af9b000000ffff, 0x00cf93000000ffff
trampoline_table_pointer:
    .word . - trampoline_table - 1
trampoline_table_at: // filled in: physical address of the table
    .long trampoline_table - trampoline_start
    .balign 8
trampoline_code_at: // filled in: physical address of trampoline_64, then its selector
    .long trampoline_64 - trampoline_start
    .word 8
    .balign 8
trampoline_root: // filled in: page tables that map this page at its own address too
    .long 0
trampoline_end:

    .text
    .code64
// Finds the stack by the APIC id; there is none yet to call anything on.
other_pcpu_start:
    movl $1, %eax
    cpuid
    shrl $24, %ebx
    movq other_pcpu_stacks(, %rbx, 8), %rsp
    movl %ebx, %edi
    xorl %ebp, %ebp
    call other_pcpu_main
1:  cli
    hlt
    jmp 1b
    .section .note.GNU-stack, "", @progbits

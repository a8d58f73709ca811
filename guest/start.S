// Where a vCPU begins: rdi, its State; the stack is empty.
    .section .text.start, "ax"
    .globl guest_start
guest_start:
    xorl %ebp, %ebp
    call guest_main
    ud2
    .section .note.GNU-stack, "", @progbits

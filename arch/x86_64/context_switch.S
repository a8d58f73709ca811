// context_switch(save, load): pushes what a called function must preserve, exchanges the stacks, pops. Flags are not
// part of it: interrupts are off on both sides.
    .text
    .globl context_switch, context_start
context_switch:
    pushq %rbp
    pushq %rbx
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    movq %rsp, (%rdi)
    movq %rsi, %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbx
    popq %rbp
    ret

// Where a new task begins: entry in r12, argument in r13.
context_start:
    movq %r13, %rdi
    call *%r12
    call context_ended
    ud2
    .section .note.GNU-stack, "", @progbits

// The 256 entries of interrupts and exceptions: 16 bytes each, so that their addresses follow from their numbers. All
// of them save a TrapFrame (trap_frame.hpp) and call handle_trap(frame) with interrupts off.
    .altmacro

    .section .text.vectors, "ax"
    .balign 16
    .globl vector_stubs
vector_stubs:
    .set vector, 0
    .rept 256
    .balign 16
    // The processor itself pushes an error code for these.
    .if vector != 8 && (vector < 10 || vector > 14) && vector != 17 && vector != 21
    pushq $0
    .endif
    pushq $vector
    jmp save_and_handle
    .set vector, vector + 1
    .endr

    .balign 16
save_and_handle:
    pushq %rax
    pushq %rbx
    pushq %rcx
    pushq %rdx
    pushq %rsi
    pushq %rdi
    pushq %rbp
    pushq %r8
    pushq %r9
    pushq %r10
    pushq %r11
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    cld
    movq %rsp, %rdi
    call handle_trap
    .globl leave_trap
leave_trap:
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %r11
    popq %r10
    popq %r9
    popq %r8
    popq %rbp
    popq %rdi
    popq %rsi
    popq %rdx
    popq %rcx
    popq %rbx
    popq %rax
    addq $16, %rsp // vector and error code
    iretq

// bool run_expecting_fault(ExpectedFault*, void (*function)(void*), void* argument): calls the function. If it faults
// as expected, handle_trap resumes at fault_recovery with the stack pointer saved here.
    .globl run_expecting_fault
run_expecting_fault:
    pushq %rbp
    movq %rsp, %rbp
    pushq %rbx
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    subq $8, %rsp
    movq %rsp, (%rdi)
    movq %rdx, %rdi
    call *%rsi
    xorl %eax, %eax
    jmp 1f
    .globl fault_recovery
fault_recovery:
    movl $1, %eax
1:  addq $8, %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbx
    popq %rbp
    ret
    .section .note.GNU-stack, "", @progbits

// The 256 entries of interrupts and exceptions: 16 bytes each, so that their addresses follow from their numbers. All
// of them save a TrapFrame (trap_frame.hpp) and call handle_trap(frame) with interrupts off.
//
// GS is the pCPU's block in ring 0 and the guest's own in ring 3. Who comes from ring 3 exchanges the two, except for
// NMI, double fault and machine check: those may find ring 0 just before it has, so they look. What ring 3 left in AC
// would switch SMAP off: it is cleared. Who goes back leaves in the task state where the next one begins.
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
    .if vector == 2 || vector == 8 || vector == 18
    jmp save_and_handle_anywhere
    .else
    jmp save_and_handle
    .endif
    .set vector, vector + 1
    .endr

    .set frame_bytes, 22 * 8          // sizeof(TrapFrame)
    .set frame_cs, 18 * 8
    .set percpu_user_stack, 8         // offsets in Percpu, which asserts them
    .set percpu_ring0_stack, 84
    .set flag_ac, 0x40000

    .macro save_registers
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
    .endm
    .macro restore_registers
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
    .endm
    .macro clear_ac
    pushfq
    andl $~flag_ac, (%rsp)
    popfq
    .endm
    .macro note_ring0_stack // rax is free
    leaq frame_bytes(%rsp), %rax
    movq %rax, %gs:percpu_ring0_stack
    .endm

    .balign 16
save_and_handle:
    testb $3, 24(%rsp)
    jz 1f
    swapgs
    clear_ac
1:  save_registers
    movq %rsp, %rdi
    call handle_trap
    .globl leave_trap
leave_trap:
    testb $3, frame_cs(%rsp)
    jz 2f
    note_ring0_stack
    restore_registers
    addq $16, %rsp // vector and error code
    swapgs
    iretq
2:  restore_registers
    addq $16, %rsp
    iretq

save_and_handle_anywhere:
    clear_ac
    save_registers
    movl $0xC0000101, %ecx // GS base: the kernel's are negative
    rdmsr
    xorl %ebx, %ebx
    testl %edx, %edx
    js 1f
    swapgs
    incl %ebx
1:  movq %rsp, %rdi
    call handle_trap
    testl %ebx, %ebx
    jz 2f
    swapgs
2:  restore_registers
    addq $16, %rsp
    iretq

// SYSCALL: return address in rcx, flags in r11, interrupts off and the stack still the guest's. The return may use
// SYSRET, which must not be given a non-canonical address: no page is mapped where that could come from (user_end in
// mm/page_tree.hpp), and who changes the frame's rip leaves like from an interrupt.
    .balign 16
    .globl system_call_entry
system_call_entry:
    swapgs
    movq %rsp, %gs:percpu_user_stack
    movq %gs:percpu_ring0_stack, %rsp
    pushq $0x1B // as descriptors.hpp has them: user data...
    pushq %gs:percpu_user_stack
    pushq %r11
    pushq $0x23 // ...and user code
    pushq %rcx
    pushq $0
    pushq $0x100 // no vector
    save_registers
    movq %rsp, %rdi
    call handle_system_call
    testb %al, %al
    jnz leave_trap
    note_ring0_stack
    restore_registers
    addq $16, %rsp
    popq %rcx
    addq $8, %rsp
    popq %r11
    popq %rsp
    swapgs
    sysretq

// void ring3_enter(TrapFrame const* registers, void* run): goes to ring 3, interrupts off until it is there. Whatever
// comes from there leaves its frame right below what is saved here, beginning with `run`.
    .globl ring3_enter
ring3_enter:
    pushq %rbp
    movq %rsp, %rbp
    pushq %rbx
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    pushq %rsi
    subq $frame_bytes, %rsp
    movq %rdi, %rsi
    movq %rsp, %rdi
    movl $frame_bytes / 8, %ecx
    rep movsq
    jmp leave_trap

// void ring3_leave(TrapFrame const* frame): returns from the ring3_enter() below whose saved registers the frame lies.
    .globl ring3_leave
ring3_leave:
    leaq frame_bytes + 8(%rdi), %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbx
    popq %rbp
    ret

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

// The guest image (guest/), as the kernel carries it: whole pages, so that they can be mapped for ring 3.
    .section .rodata.guest_image, "a"
    .balign 4096
    .globl guest_image, guest_image_end
guest_image:
    .incbin "guest.bin"
    .balign 4096
guest_image_end:
    .section .note.GNU-stack, "", @progbits

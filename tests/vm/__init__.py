"""The tests on another kernel: a microVM with cgroup v2 only, booted in seconds.

python -m tests.vm [pytest's arguments]

Debian's qemu and cloud kernel are downloaded and unpacked below build/vm, not installed; the
root file system is made of this machine's interpreter, busybox and the checkout. Exit status
and output are pytest's. A host other than Debian brings PINNACE_VM_QEMU and PINNACE_VM_KERNEL
(a folder with boot/vmlinuz-* and lib/modules).
"""

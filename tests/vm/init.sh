#!/bin/sh
# The microVM's first process: a machine as pinnace's tests expect one, with cgroup v2 only.
export PATH=@CHECKOUT@/scripts:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export HOME=/root LANG=C.UTF-8 PYTHONDONTWRITEBYTECODE=1
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
mkdir -p /dev/pts /dev/shm
mount -t devpts -o mode=620,ptmxmode=666 devpts /dev/pts
mount -t tmpfs shm /dev/shm
mount -t tmpfs run /run
mount -t cgroup2 -o nsdelegate cgroup2 /sys/fs/cgroup
mount -t bpf bpf /sys/fs/bpf
mount --make-rshared /
hostname pinnace-vm
ip link set lo up
ulimit -n 65536
depmod
for module in overlay veth bridge br_netfilter nf_tables nft_nat nft_chain_nat nft_masq nft_ct; do
  modprobe -q $module
done
export PINNACE_TEST_SLOW=$(sed 's/.*pinnace_slow=//; s/ .*//' /proc/cmdline)
cd @CHECKOUT@ || exit
echo "pinnace-vm: Linux $(uname -r), controllers: $(cat /sys/fs/cgroup/cgroup.controllers)"
# A session of its own, so that it is nobody's who ends with the tests.
tr '\n' '\0' </etc/arguments |
  xargs -0 setsid @PYTHON@ -m pytest -q --color=no -p no:cacheprovider --timeout $((60 * PINNACE_TEST_SLOW)) --basetemp /var/tmp/pytest
echo "pinnace-vm: exit status $?"
reboot -f

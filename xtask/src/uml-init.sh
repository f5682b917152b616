#!/bin/sh
# PID 1 in the user-mode-linux that uml.rs boots. Started a second time, in the
# final root, it runs the job. $vdsmjob, the job's directory on the host, comes from
# the kernel's command line.
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export PATH
j=$vdsmjob
if [ "${1:-}" != final ]; then
  # / is the machine's root, read only. Put an overlay over it, with a tmpfs on top.
  mount -t proc proc /proc
  mount -t tmpfs -o size=90%,mode=755 tmpfs /mnt
  n=/mnt/root
  mkdir /mnt/up /mnt/work $n
  modules=/usr/lib/uml/modules
  read -r release </proc/sys/kernel/osrelease
  overlay=$modules/$release/kernel/fs/overlayfs/overlay.ko
  [ ! -e "$overlay" ] || insmod "$overlay"
  mount -t overlay overlay -o lowerdir=/,upperdir=/mnt/up,workdir=/mnt/work $n || exit
  mount -t proc proc $n/proc
  mount -t sysfs sysfs $n/sys
  mount -t cgroup2 cgroup2 $n/sys/fs/cgroup 2>/dev/null
  mount -t devtmpfs devtmpfs $n/dev
  mkdir -p $n/dev/pts $n/dev/shm $n/dev/net
  mount -t devpts -o gid=5,mode=620,ptmxmode=666 devpts $n/dev/pts
  mount -t tmpfs tmpfs $n/dev/shm
  [ -e $n/dev/net/tun ] || mknod $n/dev/net/tun c 10 200
  ln -sfn pts/ptmx $n/dev/ptmx
  ln -sfn /proc/self/fd $n/dev/fd
  ln -sfn /proc/self/fd/0 $n/dev/stdin
  ln -sfn /proc/self/fd/1 $n/dev/stdout
  ln -sfn /proc/self/fd/2 $n/dev/stderr
  mount -t tmpfs -o mode=755 tmpfs $n/run
  mkdir -p $n/run/netns $n/run/lock
  # The job's directory and the shared ones, straight from the host.
  mkdir -p "$n$j"
  mount -t hostfs -o "$j" none "$n$j" || exit
  while IFS= read -r d; do
    mkdir -p "$n$d"
    mount -t hostfs -o "$d" none "$n$d" || exit
  done <"$j/shared"
  # Here the kernel looks for a module when somebody makes a link of a new kind.
  mkdir -p $n/lib/modules
  mount --bind $n$modules $n/lib/modules
  # The overlay becomes the real root: a chroot would forbid user name spaces.
  cd $n && pivot_root . mnt || exit
  exec chroot . /bin/sh "$j/init" final </dev/null
fi
cd /
umount -l /mnt
[ -d /proc/sys/net/ipv6 ] || modprobe ipv6
ip link set lo up
echo uml >/proc/sys/kernel/hostname
# A broken kernel ends the run at once instead of hanging until the limit.
echo 1 >/proc/sys/kernel/panic_on_oops
: >"$j/booted"
unset vdsmjob uml_dir umid mem noreboot panic con con0
setsid -w /bin/sh "$j/command" <"$j/stdin" >>"$j/stdout" 2>>"$j/stderr"
echo $? >"$j/code.new" && mv "$j/code.new" "$j/code"
sync -f "$j"
echo o >/proc/sysrq-trigger
sleep 5

# Becomes process 1 of a machine: a systemd in namespaces of its own, on a copy-on-write view of this one's files.
# The network is this machine's, so that a test's broker is within reach. Nothing outlives the namespaces.
set -eu
. "$1"
mount --make-rprivate /
mount -t tmpfs -o mode=755 tmpfs "$SPACE"
mkdir "$SPACE/up" "$SPACE/work" "$SPACE/root" "$SPACE/prefix-up" "$SPACE/prefix-work"
root=$SPACE/root
mount -t overlay -o "lowerdir=/,upperdir=$SPACE/up,workdir=$SPACE/work" overlay "$root"

mount -t proc proc "$root/proc"
mount --bind "$root/proc/sys" "$root/proc/sys"
mount -o remount,bind,ro "$root/proc/sys"
mount -t sysfs -o ro sysfs "$root/sys"
mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
for place in run tmp dev etc/systemd/system var/lib; do mount -t tmpfs -o mode=755 tmpfs "$root/$place"; done
mkdir "$root/dev/pts" "$root/dev/shm" "$root/run/old" "$root/run/box"
mount -t devpts -o newinstance,ptmxmode=666 devpts "$root/dev/pts"
mount -t tmpfs tmpfs "$root/dev/shm"
while read -r name major minor mode; do
    mknod "$root/dev/$name" c "$major" "$minor"
    chmod "$mode" "$root/dev/$name"
done <<'DEVICES'
null 1 3 666
zero 1 5 666
full 1 7 666
random 1 8 666
urandom 1 9 666
tty 5 0 666
ptmx 5 2 666
ttyS0 4 64 660
mem 1 1 666
fuse 10 229 666
DEVICES

# The Python environment of the tests, where an installer puts the program's; its interpreter may lie where the unit must not look.
mkdir -p "$root/opt/edged" "$root/opt/python"
mount --bind "$BASE" "$root/opt/python"
mount -t overlay -o "lowerdir=$PREFIX,upperdir=$SPACE/prefix-up,workdir=$SPACE/prefix-work" overlay "$root/opt/edged"
if [ -n "$CHECKOUT" ]; then mkdir -p "$root$CHECKOUT" && mount --rbind "$CHECKOUT" "$root$CHECKOUT"; fi
ln -sf "/opt/python/bin/$PYTHON" "$root/opt/edged/bin/python"
printf 'home = /opt/python/bin\n' > "$root/opt/edged/pyvenv.cfg"
printf '#!/opt/edged/bin/python\nfrom edged.cli import main\nraise SystemExit(main())\n' > "$root/opt/edged/bin/edged"
chmod 755 "$root/opt/edged/bin/edged"

# Of this machine's own units only the journal is started.
units=${SYSTEMD%/systemd}/system
cp "$units/systemd-journald.service" "$units/systemd-journald.socket" "$units/systemd-journald-dev-log.socket" "$root/run/box"
for target in sysinit basic sockets network-online time-sync multi-user shutdown umount final; do
    printf '[Unit]\nDescription=%s\n' "$target" > "$root/run/box/$target.target"
done
printf '[Unit]\nDescription=box\nWants=systemd-journald.service\n' > "$root/run/box/box.target"

cd "$root"
pivot_root . run/old
umount -l /run/old
# As at a real boot; credentials reach their service by propagation.
mount --make-rshared /
# An interpreter that was built with a shared library looks for it where it was built.
echo /opt/python/lib > /etc/ld.so.conf.d/box.conf
ldconfig
exec env -i container=box PATH=/usr/sbin:/usr/bin:/sbin:/bin "SYSTEMD_UNIT_PATH=/etc/systemd/system:/run/systemd/system:/run/box" \
    "$SYSTEMD" --system --unit=box.target --log-target=journal

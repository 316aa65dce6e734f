root=$1 folder=$2 machine=$3 identity=$4 image=$PATH
shift 4
PATH=$machine
# A bind mount on itself, which can be remounted read-only.
mount -n --bind "$root" "$root"
mount -n -t tmpfs -o mode=1777,size=512m tmp "$root/tmp"
mount -n -t tmpfs -o mode=0755,size=64k dev "$root/dev"
for device in null zero full random urandom; do
    : >"$root/dev/$device"
    mount -n --bind "/dev/$device" "$root/dev/$device"
done
ln -s /proc/self/fd "$root/dev/fd"
ln -s /proc/self/fd/0 "$root/dev/stdin"
ln -s /proc/self/fd/1 "$root/dev/stdout"
ln -s /proc/self/fd/2 "$root/dev/stderr"
# Many containers cover parts of /proc. The kernel then rejects a new proc mount, and the existing one is used.
mount -n -t proc proc "$root/proc" 2>/dev/null || mount -n --rbind /proc "$root/proc"
# In a user namespace a remount must keep the flags that the file system has.
mount -n -o remount,bind,ro,nosuid,nodev "$root" 2>/dev/null || mount -n -o remount,bind,ro "$root"
unshare=$(command -v unshare)
PATH=$image
while [ "$1" != -- ]; do
    export "$1"
    shift
done
code=0
"$unshare" --root="$root" --wd="$folder" $identity "$@" || code=$?
exit "$code"

#!/bin/bash
# Proves the README's two commands where nothing is installed: makes a Debian root with debootstrap that
# holds Debian's own python3 and python3-pip and nothing else, clones this repository into the home of an
# ordinary user there, and runs the commands as that user.
#
# usage (as root): tools/bare_debian.sh FOLDER [main|tests|all]      (default: all)
# FOLDER/root is made where it is not there yet; FOLDER/result.json and FOLDER/*.log say what came out.
set -eu
folder=$(readlink -f -- "$1"); what=${2:-all}; root=$folder/root
here=$(dirname -- "$(readlink -f -- "$0")")/..
mkdir -p "$folder"

if [ ! -e "$root/made" ]; then
    rm -rf "$root"
    debootstrap --variant=minbase --include=python3,python3-pip,ca-certificates bookworm "$root" \
        > "$folder/debootstrap.log" 2>&1
    # The machine's own authorities and its pip configuration: what a user behind a proxy would have.
    cp /usr/local/share/ca-certificates/*.crt "$root/usr/local/share/ca-certificates/" 2>/dev/null || true
    chroot "$root" update-ca-certificates > /dev/null 2>&1
    chroot "$root" useradd --create-home --shell /bin/bash ada
    cp /etc/resolv.conf /etc/hosts "$root/etc/"
    touch "$root/made"
fi
for program in git gcc make curl wget uv; do
    if chroot "$root" sh -c "command -v $program" > /dev/null; then
        echo "the root is not bare: it has $program" >&2; exit 1
    fi
done

mounted() { mountpoint -q "$root/$1"; }
mounted proc || mount -t proc proc "$root/proc"
mounted dev || mount --rbind --make-rslave /dev "$root/dev"
trap 'umount "$root/proc"; umount -R "$root/dev"' EXIT

clone=$root/home/ada/sartor
rm -rf "$clone" "$root/home/ada/.local" "$root/home/ada/.cache"
git clone --quiet "$here" "$clone"
commit=$(git -C "$clone" rev-parse HEAD)
chroot "$root" chown -R ada:ada /home/ada

as_ada() { # as_ada LOG COMMAND: runs as the user with an empty environment; sets $seconds
    local began ended status=0
    began=$(date +%s.%N)
    chroot --userspec=ada:ada "$root" env -i HOME=/home/ada PATH=/usr/local/bin:/usr/bin:/bin LANG=C.UTF-8 \
        UV_PYTHON_DOWNLOADS=never sh -c "cd /home/ada/sartor && $2" > "$folder/$1.log" 2>&1 || status=$?
    ended=$(date +%s.%N)
    seconds=$(python3 -c "print(round($ended - $began, 2))")
    echo "$1: status $status, $seconds s"
    return $status
}

main_cold=None main_warm=None tests=None
if [ "$what" != tests ]; then
    as_ada up-cold "./sartor up --detach"; main_cold=$seconds
    as_ada stop "./sartor stop"
    as_ada up-warm "./sartor up --detach"; main_warm=$seconds
    as_ada stop "./sartor stop"
fi
if [ "$what" != main ]; then
    as_ada tests "./test" || { tail -30 "$folder/tests.log"; exit 1; }; tests=$seconds
fi
python3 - "$folder/result.json" <<END
import datetime, json, platform, sys
json.dump({
    "what": "the README's two commands on a bare Debian root, as an ordinary user",
    "commit": "$commit", "date": datetime.date.today().isoformat(),
    "proves": ["tools/bootstrap.py", "sartor", "test", "requirements", "src/sartor/build", "src/sartor/line.py"],
    "hardware": {"cpus": $(nproc), "machine": platform.machine()},
    "debian": open("$root/etc/debian_version").read().strip(),
    "seconds": {"main cold": $main_cold, "main warm": $main_warm, "tests": $tests},
}, open(sys.argv[1], "w"), indent=2)
END
cat "$folder/result.json"

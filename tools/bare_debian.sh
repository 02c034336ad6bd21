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

as_user() { # as_user COMMAND: runs it in the clone as the user, with an empty environment
    exec chroot --userspec=ada:ada "$root" env -i HOME=/home/ada PATH=/usr/local/bin:/usr/bin:/bin \
        LANG=C.UTF-8 UV_PYTHON_DOWNLOADS=never sh -c "cd /home/ada/sartor && exec $1"
}

as_ada() { # as_ada LOG COMMAND: runs it to its end; sets $seconds
    local began ended status=0
    began=$(date +%s.%N)
    (as_user "$2") > "$folder/$1.log" 2>&1 || status=$?
    ended=$(date +%s.%N)
    seconds=$(python3 -c "print(round($ended - $began, 2))")
    echo "$1: status $status, $seconds s"
    return $status
}

main_command() { # main_command LOG: the README's first command, until it answers; then SIGTERM
    local began=$(date +%s.%N) process
    as_user "./sartor up" > "$folder/$1.log" 2>&1 &
    process=$!
    until grep -q '^stop: Ctrl-C' "$folder/$1.log"; do
        kill -0 $process || { cat "$folder/$1.log"; exit 1; }
        sleep 0.05
    done
    seconds=$(python3 -c "print(round($(date +%s.%N) - $began, 2))")
    python3 - <<END
import json, re, urllib.request
url = re.search(r"^(http\\S+)", open("$folder/$1.log").read(), re.M)[1] + "/chat/completions"
body = json.dumps({"messages": [{"role": "user", "content": "Hello"}], "max_tokens": 8}).encode()
request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
print("a client got", json.load(urllib.request.urlopen(request))["usage"])
END
    pkill -TERM -u "$(chroot "$root" id -u ada)" -f "sartor up"
    wait $process || { echo "$1: status $?"; exit 1; }
    ! pgrep -u "$(chroot "$root" id -u ada)" > /dev/null || { echo "processes are left"; exit 1; }
    echo "$1: answered after $seconds s, ended with nothing left"
}

main_cold=None main_warm=None tests=None
if [ "$what" != tests ]; then
    main_command up-cold; main_cold=$seconds
    main_command up-warm; main_warm=$seconds
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

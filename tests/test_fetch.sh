#!/usr/bin/env bash
# data/fetch against a server on loopback that can break in every way that a real one does. The
# script under test is data/fetch itself with the checksums (and in one test the homes) of small
# files made here; real MNIST is fetched too where NN_TEST_DATA (default ../shared/data) has it.
set -u
cd "$(dirname "$0")/.." || exit 1
here=$PWD
passed=0 failed=0 skipped=0
ok() { passed=$((passed + 1)); [ -z "${NN_VERBOSE:-}" ] || echo "ok $1"; }
bad() { failed=$((failed + 1)); echo "FAIL $1"; sed 's/^/  /' "$work/out" | head -n 10; }
skip() { skipped=$((skipped + 1)); echo "skipped $1: $2"; }
end() {
  echo "fetch: $passed passed, $failed failed$([ $skipped = 0 ] || echo ", $skipped skipped")"
  [ $failed = 0 ]
  exit
}
command -v python3 > /dev/null || { skip 'all of data/fetch' 'no python3 for the server on loopback'; end; }

work=$(mktemp -d) || exit 1
server=
trap '[ -z "$server" ] || kill $server 2> /dev/null; rm -rf "$work"' EXIT
mkdir "$work/files"

# The files: four small ones in MNIST's names and a tar with six in CIFAR-10's.
raws='train-images-idx3-ubyte train-labels-idx1-ubyte t10k-images-idx3-ubyte t10k-labels-idx1-ubyte'
batches='data_batch_1 data_batch_2 data_batch_3 data_batch_4 data_batch_5 test_batch'
cp data/fetch "$work/fetch"
i=0
for f in $raws; do
  i=$((i + 1))
  python3 -c 'import random, sys; random.seed(int(sys.argv[1])); sys.stdout.buffer.write(bytes(random.randrange(256) for _ in range(20000)))' $i > "$work/$f"
  gzip -c "$work/$f" > "$work/files/$f.gz"
  packed=$(sha256sum < "$work/files/$f.gz" | cut -d ' ' -f 1) raw=$(sha256sum < "$work/$f" | cut -d ' ' -f 1)
  sed -i "s/^$f .*[0-9a-f]\{64\}/$f $packed $raw/" "$work/fetch"
done
tar_of() { # batches..: the md5 of the archive made of them
  rm -rf "$work/tar" && mkdir -p "$work/tar/cifar-10-batches-bin"
  for b; do cp "$work/t10k-labels-idx1-ubyte" "$work/tar/cifar-10-batches-bin/$b.bin"; done
  tar -C "$work/tar" -czf "$work/files/cifar-10-binary.tar.gz" cifar-10-batches-bin
  sed -i "s/^cifar10_md5=[0-9a-f]*/cifar10_md5=$(md5sum < "$work/files/cifar-10-binary.tar.gz" | cut -d ' ' -f 1)/" "$work/fetch"
}
# shellcheck disable=SC2086
tar_of $batches

# http://127.0.0.1:PORT/MODE/NAME, see the modes below.
cat > "$work/server.py" << 'PY'
import http.server, os, sys, time
files, log, real = sys.argv[1], sys.argv[2], sys.argv[3]

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        mode, name = self.path.strip("/").split("/")
        begins = self.headers.get("Range")
        with open(log, "a") as out:
            out.write("%s %s %s\n" % (mode, name, begins))
        path = os.path.join(real if mode == "real" else files, name)
        if mode == "missing" or not os.path.exists(path):
            return self.send_error(404)
        with open(path, "rb") as file:
            body = file.read()
        if mode == "corrupt":
            body = body[:100] + bytes([body[100] ^ 1]) + body[101:]
        begin = 0
        if begins and mode != "norange":
            begin = int(begins[len("bytes="):].split("-")[0])
            if begin >= len(body):
                self.send_response(416)
                self.send_header("Content-Range", "bytes */%d" % len(body))
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            self.send_response(206)
            self.send_header("Content-Range", "bytes %d-%d/%d" % (begin, len(body) - 1, len(body)))
        else:
            self.send_response(200)
        body = body[begin:]
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if mode == "half" and begin == 0:
            body = body[:len(body) // 2]
        if mode == "slow":
            for byte in body:
                self.wfile.write(bytes([byte]))
                self.wfile.flush()
                time.sleep(.05)
            return
        self.wfile.write(body)
    def log_message(self, *arguments):
        pass

server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
server.daemon_threads = True
print(server.server_port, flush=True)
server.serve_forever()
PY
real=${NN_TEST_DATA:-../shared/data}/mnist
mkfifo "$work/port"
python3 "$work/server.py" "$work/files" "$work/log" "$real" > "$work/port" 2> "$work/errors" &
server=$!
read -r port < "$work/port"
url=http://127.0.0.1:$port

# fetch MODE ARGUMENTS..: its exit status; all it says goes to $work/out.
to=$work/to
fetch() {
  local mode=$1
  shift
  NN_MIRROR=$url/$mode "$work/fetch" "$@" --to "$to" > "$work/out" 2>&1
}
fresh() { rm -rf "$to"; : > "$work/log"; }
whole() { local f; for f in $raws; do cmp -s "$work/$f" "$to/mnist/$f" || return 1; done; }
tidy() { [ -z "$(find "$to" -name '*.part' 2> /dev/null)" ]; }
holds() { if eval "$2"; then ok "$1"; else bad "$1 ($2)"; fi; }
part=$to/mnist/train-images-idx3-ubyte.gz.part
first=$work/files/train-images-idx3-ubyte.gz
half_part() { mkdir -p "$to/mnist" && head -c 9000 "$first" > "$part"; }

for word in 'mnist cifar10' 'mnits' '--timeout' 'mnist --timeout x' '--to' 'mnist --limit 0'; do
  # shellcheck disable=SC2086
  data/fetch $word > "$work/out" 2>&1
  rc=$?
  holds "wrong arguments are refused in one line: $word" '[ $rc = 2 ] && [ "$(wc -l < "$work/out")" = 1 ]'
done
data/fetch --help > "$work/out" 2>&1
holds '--help' '[ $? = 0 ] && grep -q usage "$work/out"'

# Everything that depends on the downloading program, with each of the three.
tools=$(for t in sh env cat cut date dirname grep gzip head mkdir mv printf rm rmdir sed tail tar tr wc timeout \
  sha256sum md5sum; do command -v $t; done)
saved=$PATH
for with in curl wget python3; do
  command -v $with > /dev/null || { skip "downloads with $with" 'it is not installed'; continue; }
  at=$(command -v $with)
  [ $with != python3 ] || at=$(python3 -c 'import sys; print(sys.executable)') # past any wrapper
  mkdir "$work/bin.$with"
  for t in $tools; do [ ! -x "$t" ] || ln -s "$t" "$work/bin.$with/"; done
  printf '#!/bin/sh\nexec %s "$@"\n' "$at" > "$work/bin.$with/$with"
  chmod +x "$work/bin.$with/$with"
  limited() { PATH=$work/bin.$with fetch "$@"; }

  fresh; limited ok mnist
  holds "$with: four files" '[ $? = 0 ] && whole && tidy'
  : > "$work/log"; limited ok mnist
  holds "$with: what is there is not fetched again" '[ $? = 0 ] && [ ! -s "$work/log" ]'
  fresh; half_part; limited ok mnist
  holds "$with: goes on with a part" '[ $? = 0 ] && whole && tidy && grep -q "bytes=9000-" "$work/log"'
  fresh; mkdir -p "$to/mnist"; cp "$first" "$part"; limited ok mnist
  holds "$with: a whole part is only checked" '[ $? = 0 ] && whole && tidy && ! grep -q train-images "$work/log"'
  fresh; mkdir -p "$to/mnist"; head -c 9000 /dev/zero > "$part"; limited ok mnist
  holds "$with: a wrong part is thrown away" '[ $? = 0 ] && whole && tidy'
  fresh; mkdir -p "$to/mnist"; head -c 90000 /dev/zero > "$part"; limited ok mnist
  holds "$with: a part that is too long is thrown away" '[ $? = 0 ] && whole && tidy'
  fresh; half_part; limited norange mnist
  holds "$with: a server that cannot go on sends all of it" '[ $? = 0 ] && whole && tidy'
  fresh; limited half mnist
  holds "$with: a broken connection keeps the part" '[ $? = 1 ] && [ -s "$part" ] && [ ! -f "$to/mnist/train-images-idx3-ubyte" ]'
  limited ok mnist
  holds "$with: and the next run goes on with it" '[ $? = 0 ] && whole && tidy && grep -q "ok train-images.*bytes=[1-9]" "$work/log"'
  fresh; limited corrupt mnist
  holds "$with: a flipped bit is refused" '[ $? = 1 ] && grep -q "checksum is wrong" "$work/out" && [ ! -d "$to/mnist" ]'
  fresh; limited missing mnist
  holds "$with: 404" '[ $? = 1 ] && grep -q 404 "$work/out" && [ ! -d "$to/mnist" ]'
  fresh; half_part; limited missing mnist
  holds "$with: 404 keeps an older part" '[ $? = 1 ] && [ "$(wc -c < "$part")" = 9000 ]'
  # Each of the two would take a quarter of an hour if it waited; timeout makes that exit 124.
  fresh
  NN_MIRROR=http://127.0.0.1:1 PATH=$work/bin.$with timeout 300 \
    "$work/fetch" mnist --timeout 900 --to "$to" > "$work/out" 2>&1
  holds "$with: no server, one line and no waiting" '[ $? = 1 ] && [ ! -d "$to/mnist" ] && [ "$(wc -l < "$work/out")" -le 3 ]'
  fresh
  NN_MIRROR=$url/slow PATH=$work/bin.$with timeout 300 \
    "$work/fetch" mnist --limit 2 --to "$to" > "$work/out" 2>&1
  holds "$with: --limit ends a slow download" '[ $? = 1 ] && [ ! -d "$to/mnist/train-images-idx3-ubyte" ]'
done
PATH=$saved

fresh
sed "s|^mnist_homes=.*|mnist_homes='http://127.0.0.1:1 $url/corrupt $url/ok'|" "$work/fetch" > "$work/fetch.homes"
chmod +x "$work/fetch.homes"
NN_MIRROR='' "$work/fetch.homes" mnist --to "$to" > "$work/out" 2>&1
holds 'the next home is tried when one is away or wrong' '[ $? = 0 ] && whole && tidy'

fresh; sed "s/^\(t10k-labels.* \)[0-9a-f]\{64\}/\1$(printf %064d 0)/" "$work/fetch" > "$work/fetch.raw"
chmod +x "$work/fetch.raw"
NN_MIRROR=$url/ok "$work/fetch.raw" mnist --to "$to" > "$work/out" 2>&1
holds 'a file that is wrong after unpacking is refused' '[ $? = 1 ] && tidy && [ ! -f "$to/mnist/t10k-labels-idx1-ubyte" ]'

fresh; fetch ok cifar10
holds 'cifar10' '[ $? = 0 ] && tidy && [ "$(ls "$to/cifar-10-batches-bin" | wc -l)" = 6 ] && cmp -s "$to/cifar-10-batches-bin/test_batch.bin" "$work/t10k-labels-idx1-ubyte"'
: > "$work/log"; fetch ok all
holds 'all: what is there stays, the rest comes' '[ $? = 0 ] && whole && tidy && ! grep -q cifar "$work/log"'
fresh; fetch corrupt cifar10
holds 'cifar10: a flipped bit is refused' '[ $? = 1 ] && [ -z "$(ls -A "$to")" ]'
fresh; fetch half cifar10; fetch ok cifar10
holds 'cifar10 goes on with a part' '[ $? = 0 ] && tidy && [ -f "$to/cifar-10-batches-bin/data_batch_5.bin" ]'
# shellcheck disable=SC2086
tar_of ${batches#* }
fresh; fetch ok cifar10
holds 'cifar10 with a batch missing is refused' '[ $? = 1 ] && grep -q data_batch_1 "$work/out" && [ ! -d "$to/cifar-10-batches-bin" ]'

if [ -f "$real/train-images-idx3-ubyte.gz" ]; then
  # These were packed anew, so the packed checksums of the homes do not fit them; the unpacked do.
  cp "$here/data/fetch" "$work/fetch.real"
  for f in $raws; do
    sed -i "s/^$f [0-9a-f]\{64\}/$f $(sha256sum < "$real/$f.gz" | cut -d ' ' -f 1)/" "$work/fetch.real"
  done
  fresh; NN_MIRROR=$url/real "$work/fetch.real" mnist --to "$to" > "$work/out" 2>&1
  holds 'real MNIST has the checksums that data/fetch knows' '[ $? = 0 ] && tidy && [ "$(wc -c < "$to/mnist/train-images-idx3-ubyte")" = 47040016 ]'
else
  skip 'real MNIST' "no $real/train-images-idx3-ubyte.gz (NN_TEST_DATA names the folder above)"
fi
end

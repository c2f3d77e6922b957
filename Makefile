# nn: `make` builds build/nn, `make run` does everything; `make help` lists the rest.
# CC, CFLAGS, LDFLAGS, DEFINES (-DNN_NO_THREADS and so on), BUILD (folder) and RUNNER (an emulator
# that the tests run under) may be set on the command line.
BUILD = build
PREFIX = /usr/local
export DESTDIR PREFIX # which may have any character in them
CFLAGS = -O2
WARN = -std=c99 -pedantic -Wall -Wextra
COMPILE = $(CC) $(WARN) $(CFLAGS) $(DEFINES)
LIBS = -lm -lpthread
APT = apt-get install -y -qq --no-install-recommends

# The first list runs once for every ISA of the machine, the second once.
SUITES = gemm layers train io torch inspect inplace stack
SUITES_ONCE = model data fit gradients fuzz fail bench export onnx
SCRIPTS = tests/test_look.sh tests/test_survive.sh tests/test_program.sh tests/test_page.sh \
          tests/test_fetch.sh tests/test_readme.sh tests/test_build.sh tests/onnx tests/lint
TEST_H = data/drawn.inc tests/test.h tests/graphs.h tests/goldens.h tests/fuzz.h tests/attacks.h \
         tests/bench.h
PROGRAMS = $(SUITES:%=$(BUILD)/tests/test_%) $(SUITES_ONCE:%=$(BUILD)/tests/test_%)

all: $(BUILD)/nn

$(BUILD)/nn: $(BUILD)/main.o $(BUILD)/nn.o
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LIBS)

$(BUILD)/nn.o: nn.c nn.h
	@mkdir -p $(@D)
	$(COMPILE) -c -o $@ nn.c

# The page that the program writes.
$(BUILD)/page.inc: data/report.html
	@mkdir -p $(@D)
	$(LINES) data/report.html > $@
# Each line as a C string.
LINES = sed 's/\\/\\\\/g; s/"/\\"/g; s/?/\\?/g; s/.*/"&\\n",/'
# The page for `nn play` is in the program once `make web` has built it.
PLAY = $(wildcard $(BUILD)/play.inc)
DEFINE_PAGE = -DPAGE='"$(BUILD)/page.inc"' $(PLAY:%=-DPLAY='"%"')
PROGRAM = main.c $(wildcard data/*.inc) $(BUILD)/page.inc $(PLAY) nn.h

$(BUILD)/main.o: $(PROGRAM) | stb
	@mkdir -p $(@D)
	$(COMPILE) $(DEFINE_PAGE) -c -o $@ main.c

# The same program for several machines, if there is an mpicc (or where it may be installed).
# MPICH's MPI_STATUSES_IGNORE looks to gcc like an array at address 1: hence no -Wstringop-overflow.
MPICC = mpicc
mpi: INSTALL = yes
mpi: mpi-there $(BUILD)/nn-mpi
mpi-there:
	@command -v $(MPICC) > /dev/null && command -v mpirun > /dev/null && exit 0; \
	if [ "$(INSTALL)" ] && [ "$$(id -u)" = 0 ] && command -v apt-get > /dev/null; then \
	  echo 'installing libopenmpi-dev and openmpi-bin'; \
	  { apt-get update -qq && $(APT) libopenmpi-dev openmpi-bin; } > /dev/null && exit 0; fi; \
	echo 'there is no mpicc: sudo apt-get install libopenmpi-dev openmpi-bin' >&2; exit 1

$(BUILD)/nn-mpi: $(PROGRAM) $(BUILD)/nn.o | stb mpi-there
	$(MPICC) $(WARN) -Wno-stringop-overflow $(CFLAGS) $(DEFINES) -DNN_MPI $(DEFINE_PAGE) $(LDFLAGS) -o $@ main.c \
	  $(BUILD)/nn.o $(LIBS)

# What a step costs on several ranks, and what that predicts for many.
$(BUILD)/tests/scale: tests/scale.c nn.h $(BUILD)/nn.o | mpi-there
	@mkdir -p $(@D)
	$(MPICC) $(WARN) -Wno-stringop-overflow $(CFLAGS) $(LDFLAGS) -o $@ tests/scale.c $(BUILD)/nn.o $(LIBS)

test-mpi: mpi $(BUILD)/tests/scale
	@BUILD='$(BUILD)' tests/mpi

# The engine in a page: build/nn.wasm without imports, build/nn.mjs for other people's pages, and
# build/play.html, one file. With -Oz the wasm is a fifth smaller and LeNet5 takes 1.7 times as long.
WASM = clang --target=wasm32-wasi --sysroot=/usr -msimd128 -mexec-model=reactor
WASM_DEFINES = -DNN_NO_STDIO -DNN_NO_THREADS -DNN_NO_EXPORT -DNN_API=extern
$(BUILD)/nn.wasm: data/play.c data/drawn.inc nn.c nn.h | wasi
	@mkdir -p $(@D)
	$(WASM) $(WARN) -O2 $(WASM_DEFINES) -Wl,--strip-debug,-z,stack-size=131072 -o $@ data/play.c nn.c

$(BUILD)/nn.mjs: data/nn.mjs
	@mkdir -p $(@D)
	cp data/nn.mjs $@

# Its lines @WASM@ and @GLUE@ replaced; @DATA@ is `nn play`'s, or an empty object.
$(BUILD)/play.part: data/play.html data/nn.mjs $(BUILD)/nn.wasm
	base64 < $(BUILD)/nn.wasm > $(BUILD)/nn.base64
	awk -v wasm='$(BUILD)/nn.base64' -v glue=data/nn.mjs 'function put(f) { \
	  while ((getline line < f) > 0) { sub(/^export /, "", line); print line } } \
	  /^@WASM@$$/ { put(wasm); next } /^@GLUE@$$/ { put(glue); next } { print }' data/play.html > $@

$(BUILD)/play.html: $(BUILD)/play.part
	sed 's/^@DATA@$$/{}/' $(BUILD)/play.part > $@

$(BUILD)/play.inc: $(BUILD)/play.part
	$(LINES) $(BUILD)/play.part > $@

web: $(BUILD)/play.html $(BUILD)/play.inc $(BUILD)/nn.mjs
	@$(MAKE) $(BUILD)/nn

# Uses the page and the module.
webtest: web browser
	@BUILD='$(BUILD)' tests/web

# What the engine in a page is built with.
WASI = clang lld wasi-libc libclang-rt-dev-wasm32
wasi:
	@mkdir -p $(BUILD); echo 'int main(void) { return 0; }' > $(BUILD)/wasi.c; \
	try() { $(WASM) -o $(BUILD)/wasi.wasm $(BUILD)/wasi.c > /dev/null 2>&1; }; try && exit 0; \
	if [ "$(INSTALL)" ] && [ "$$(id -u)" = 0 ] && command -v apt-get > /dev/null; then \
	  echo 'installing $(WASI)'; { apt-get update -qq && $(APT) $(WASI); } > /dev/null; try && exit 0; \
	fi; echo 'WebAssembly cannot be built: sudo apt-get install $(WASI)' >&2; exit 1

# The gradient checks need the engine in double precision.
$(BUILD)/double/nn.o: nn.c nn.h
	@mkdir -p $(@D)
	$(COMPILE) -DNN_REAL=double -c -o $@ nn.c

$(BUILD)/tests/test_gradients: tests/test_gradients.c $(TEST_H) nn.h $(BUILD)/double/nn.o
	@mkdir -p $(@D)
	$(COMPILE) -DNN_REAL=double $(LDFLAGS) -o $@ $< $(BUILD)/double/nn.o $(LIBS)

$(BUILD)/tests/%: tests/%.c $(TEST_H) nn.h $(BUILD)/nn.o
	@mkdir -p $(@D)
	$(COMPILE) $(LDFLAGS) -o $@ $< $(BUILD)/nn.o $(LIBS)

# Both have the engine within themselves, to make its calls fail.
$(BUILD)/tests/test_fail: tests/test_fail.c tests/faults.h $(TEST_H) nn.c nn.h
	@mkdir -p $(@D)
	$(COMPILE) $(LDFLAGS) -o $@ $< $(LIBS)

$(BUILD)/tests/faulty: tests/faulty.c tests/faults.h nn.c $(PROGRAM) | stb
	@mkdir -p $(@D)
	$(COMPILE) $(DEFINE_PAGE) -I. -O1 $(LDFLAGS) -o $@ $< $(LIBS)

# stb_image.h, for main.c. `make run` and `make test` install it where they may.
run test kill lint bench fuzz web webtest: INSTALL = yes
stb:
	@echo '#include <stb/stb_image.h>' | $(CC) $(CFLAGS) -E - > /dev/null 2>&1 && exit 0; \
	if [ "$(INSTALL)" ] && [ "$$(id -u)" = 0 ] && command -v apt-get > /dev/null; then \
	  echo 'installing libstb-dev (stb_image.h, for PNG and JPEG files)'; \
	  { apt-get update -qq && $(APT) libstb-dev; } > /dev/null && exit 0; fi; \
	echo 'stb/stb_image.h is missing. Install it: sudo apt-get install libstb-dev' >&2; exit 1

# A browser, for the test that opens a report. Without one that part is skipped, and says so.
browser:
	@for b in chromium chromium-browser google-chrome; do \
	  command -v $$b > /dev/null && exit 0; done; \
	if [ "$(INSTALL)" ] && [ "$$(id -u)" = 0 ] && command -v apt-get > /dev/null; then \
	  echo 'installing chromium (about 300 MB), which opens a report in a test'; \
	  { apt-get update -qq && $(APT) chromium; } > /dev/null 2>&1 || \
	    echo 'chromium cannot be installed: the report is not opened'; fi

# Real images to learn from: what is there, else MNIST from its public homes, else Debian's
# Fashion-MNIST. Without any of them the program draws its own and says so.
images:
	@for d in data/mnist data/fashion-mnist /usr/share/datasets/fashion-mnist; do \
	  for f in $$d/train-images-idx3-ubyte; do [ ! -f $$f ] || exit 0; done; done; \
	data/fetch mnist --timeout 5 --limit 40 && exit 0; \
	to=data/fashion-mnist from=/usr/share/datasets/fashion-mnist; \
	if [ ! -d $$from ] && [ "$$(id -u)" = 0 ] && command -v apt-get > /dev/null; then \
	  echo 'installing dataset-fashion-mnist instead'; \
	  { apt-get update -qq; $(APT) dataset-fashion-mnist; } > /dev/null || true; fi; \
	if [ -d $$from ]; then mkdir -p $$to.part && for f in $$from/*-ubyte.gz; do \
	  gzip -dc $$f > $$to.part/$$(basename $$f .gz) || exit 1; done && mv $$to.part $$to; fi

run: $(BUILD)/nn images
	$(BUILD)/nn demo

suites: $(PROGRAMS) $(BUILD)/tests/isas
	@BUILD='$(BUILD)' RUNNER='$(RUNNER)' tests/run_suites '$(SUITES)' '$(SUITES_ONCE)' ''

# The program's readers, with files and exit of the test's own; see tests/fuzz_program.c.
HOOKS = -DNN_NO_SIMD -include tests/hooks.h -Dfopen=fuzz_fopen
$(BUILD)/tests/fuzz_program: tests/fuzz_program.c $(TEST_H) tests/hooks.h $(PROGRAM) nn.c | stb
	@mkdir -p $(@D)
	$(COMPILE) $(HOOKS) -c -o $(BUILD)/tests/hooked.o nn.c
	$(COMPILE) $(DEFINE_PAGE) -I. $(LDFLAGS) -o $@ $< $(BUILD)/tests/hooked.o $(LIBS)

# What the program measures of nets and images.
$(BUILD)/tests/figures: tests/figures.c data/measures.inc $(TEST_H) nn.h $(BUILD)/nn.o
	@mkdir -p $(@D)
	$(COMPILE) $(LDFLAGS) -o $@ $< $(BUILD)/nn.o $(LIBS)

test: $(BUILD)/nn $(PROGRAMS) $(BUILD)/tests/isas $(BUILD)/tests/fuzz_program \
      $(BUILD)/tests/figures $(BUILD)/tests/faulty browser
	@BUILD='$(BUILD)' RUNNER='$(RUNNER)' tests/run_suites '$(SUITES)' '$(SUITES_ONCE)' '$(SCRIPTS)'

# Hundreds of kills at random instants, and every single call that can fail.
KILLS = 300
kill: $(BUILD)/nn $(BUILD)/tests/faulty $(BUILD)/tests/test_fail
	@KILLS=$(KILLS) NN_TEST_ONLY=kills '$(BUILD)/tests/test_fail'
	@BUILD='$(BUILD)' KILLS=$(KILLS) FAULTS=all tests/test_survive.sh

# Trains for an hour and sees whether memory and speed stay as they were.
LONG_SECONDS = 3600
long: $(BUILD)/tests/long
	$(BUILD)/tests/long $(LONG_SECONDS)

lint: $(BUILD)/nn.o
	@BUILD='$(BUILD)' tests/lint

# FUZZ_SECONDS each target, under sanitizers.
fuzz: stb
	@BUILD='$(BUILD)' CC='$(CC)' tests/fuzz

# Valgrind, MemorySanitizer, UBSan's integer checks; all tests of going back, spoilt in turn.
deep:
	@BUILD='$(BUILD)' tests/deep

mutate:
	@BUILD='$(BUILD)' tests/mutate

coverage:
	@BUILD='$(BUILD)' tests/coverage

bench: $(BUILD)/tests/bench
	$(BUILD)/tests/bench

# Sizes and runs on Cortex-M under an emulator.
chip:
	@BUILD='$(BUILD)' CC='$(CC)' tests/chip

goldens:
	python3 tests/goldens.py

# Nets as C source, compiled for several processors and run; their size on a Cortex-M4.
$(BUILD)/tests/source: tests/source.c $(TEST_H) nn.c nn.h
	@mkdir -p $(@D)
	$(COMPILE) $(LDFLAGS) -o $@ $< $(LIBS)

source: $(BUILD)/tests/source
	@BUILD='$(BUILD)' tests/source

# Random graphs beside PyTorch, live.
GRAPHS = 2000
live:
	@BUILD='$(BUILD)' CC='$(CC)' tests/live.py $(GRAPHS)

install: $(BUILD)/nn
	install -D '$(BUILD)/nn' "$$DESTDIR$$PREFIX/bin/nn"

clean:
	rm -rf '$(BUILD)'

help:
	@echo 'make          build $(BUILD)/nn'
	@echo 'make run      all set-up included: train LeNet5, RNN, LSTM and GRU, write a report to runs'
	@echo 'make test     all set-up included: every test (some ten minutes)'
	@echo 'make suites   the C tests alone'
	@echo 'make lint     who owns what in nn.c, symbol names, line length'
	@echo 'make fuzz     changed files at every reader, FUZZ_SECONDS=60 each, under sanitizers'
	@echo 'make coverage lines of nn.c that no test runs (gcov)'
	@echo 'make deep     the C tests under valgrind, MemorySanitizer and checks of integers'
	@echo 'make mutate   does a test turn red for each statement of going back?'
	@echo 'make kill     $(KILLS) kills at random instants, and every call that can fail (KILLS=n)'
	@echo 'make long     train for an hour: memory use and speed (LONG_SECONDS=n)'
	@echo 'make bench    speed beside OpenBLAS, BLIS and PyTorch, and what subnormal numbers cost'
	@echo 'make live     $(GRAPHS) random graphs compared with PyTorch (GRAPHS=n; needs python3-torch)'
	@echo 'make source   nets as C source: compiled, run under emulators, and their size on a chip'
	@echo 'make web      all set-up included: the engine as WebAssembly, and a page to explore a net in'
	@echo 'make webtest  uses both, in Chromium and node'
	@echo 'make chip     sizes on Cortex-M; inference and training there under qemu-system-arm'
	@echo 'make goldens  make tests/goldens anew from PyTorch (needs python3-torch)'
	@echo 'make mpi      set-up included: build $(BUILD)/nn-mpi, which mpirun starts on several machines'
	@echo 'make test-mpi the same: what several ranks learn, beside what one does'
	@echo 'make install  copy nn to $(PREFIX)/bin'
	@echo 'make clean    remove $(BUILD)'
	@echo 'data/fetch    download MNIST and CIFAR-10; .ci/run runs every check there is'

.PHONY: all run test suites lint kill long fuzz coverage deep mutate bench goldens live \
        source mpi mpi-there test-mpi install clean help stb images browser web wasi webtest \
        chip

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
SUITES_ONCE = model data fit gradients fuzz fail bench
SCRIPTS = tests/test_look.sh tests/test_survive.sh tests/test_program.sh tests/test_page.sh \
          tests/test_fetch.sh tests/test_readme.sh tests/test_build.sh tests/lint
TEST_H = data/drawn.inc tests/test.h tests/graphs.h tests/goldens.h tests/fuzz.h tests/attacks.h \
         tests/bench.h
PROGRAMS = $(SUITES:%=$(BUILD)/tests/test_%) $(SUITES_ONCE:%=$(BUILD)/tests/test_%)

all: $(BUILD)/nn

$(BUILD)/nn: $(BUILD)/main.o $(BUILD)/nn.o
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LIBS)

$(BUILD)/nn.o: nn.c nn.h
	@mkdir -p $(@D)
	$(COMPILE) -c -o $@ nn.c

# The page that the program writes: each line of data/report.html as a C string.
$(BUILD)/page.inc: data/report.html
	@mkdir -p $(@D)
	sed 's/\\/\\\\/g; s/"/\\"/g; s/?/\\?/g; s/.*/"&\\n",/' data/report.html > $@
DEFINE_PAGE = -DPAGE='"$(BUILD)/page.inc"'
PROGRAM = main.c $(wildcard data/*.inc) $(BUILD)/page.inc nn.h

$(BUILD)/main.o: $(PROGRAM) | stb
	@mkdir -p $(@D)
	$(COMPILE) $(DEFINE_PAGE) -c -o $@ main.c

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
run test kill lint bench fuzz: INSTALL = yes
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

goldens:
	python3 tests/goldens.py

install: $(BUILD)/nn
	install -D '$(BUILD)/nn' "$$DESTDIR$$PREFIX/bin/nn"

clean:
	rm -rf '$(BUILD)'

help:
	@echo 'make          build $(BUILD)/nn'
	@echo 'make run      all set-up included: train LeNet5, RNN, LSTM and GRU, write a report to runs'
	@echo 'make test     all set-up included: every test (under 5 minutes)'
	@echo 'make suites   the C tests alone'
	@echo 'make lint     who owns what in nn.c, symbol names, line length'
	@echo 'make fuzz     changed files at every reader, FUZZ_SECONDS=60 each, under sanitizers'
	@echo 'make coverage lines of nn.c that no test runs (gcov)'
	@echo 'make deep     the C tests under valgrind, MemorySanitizer and checks of integers'
	@echo 'make mutate   does a test turn red for each statement of going back?'
	@echo 'make kill     $(KILLS) kills at random instants, and every call that can fail (KILLS=n)'
	@echo 'make long     train for an hour: memory use and speed (LONG_SECONDS=n)'
	@echo 'make bench    speed beside OpenBLAS, BLIS and PyTorch, and what subnormal numbers cost'
	@echo 'make goldens  make tests/goldens anew from PyTorch (needs python3-torch)'
	@echo 'make install  copy nn to $(PREFIX)/bin'
	@echo 'make clean    remove $(BUILD)'
	@echo 'data/fetch    download MNIST and CIFAR-10; .ci/run runs every check there is'

.PHONY: all run test suites lint kill long fuzz coverage deep mutate bench goldens install clean help stb images \
        browser

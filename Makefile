# postern: one GNU Makefile, no configure step.  INSTALL says more.
#
#	make            everything into bin/
#	make check      unit tests, dialogs, fault loops, fuzz corpora
#	make asan       the same with address and undefined sanitizers
#	make lint       static analysis, dependency, size and document checks
#	make install    DESTDIR, prefix and friends are respected

VERSION    = 0.1

prefix     = /usr/local
sbindir    = $(prefix)/sbin
libexecdir = $(prefix)/libexec/postern
sysconfdir = /etc/postern
mandir     = $(prefix)/share/man
datadir    = $(prefix)/share/postern

CC         = gcc
CFLAGS     = -O2 -g
INSTALL    = install
PYTEST     = $(firstword $(wildcard /usr/bin/python3) python3) -m pytest -q

# What packagers replace.
WARNINGS   = -Wall -Wextra -Wpedantic -Wshadow -Wstrict-prototypes \
	-Wmissing-prototypes -Wold-style-definition -Wwrite-strings \
	-Wpointer-arith -Wcast-qual -Wvla -Wformat=2 -Wundef -Wconversion \
	-Wimplicit-fallthrough
HARDENING  = -fno-common -fstack-protector-strong -fstack-clash-protection \
	$(if $(findstring -fsanitize,$(CFLAGS)),,-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3) \
	-fPIE
LDHARDEN   = -pie -Wl,-z,relro,-z,now

# Bugs for certain, for everybody.
ERRORS     = -Werror=implicit-function-declaration \
	-Werror=incompatible-pointer-types -Werror=int-conversion \
	-Werror=return-type -Werror=format-security -Werror=vla

O          = obj
B          = bin
ALL_CPPFLAGS = -D_GNU_SOURCE -I. -DPOSTERN_VERSION='"$(VERSION)"' \
	-DCONF_SYSCONFDIR='"$(sysconfdir)"' -include common/base/banned.h \
	$(CPPFLAGS)
ALL_CFLAGS = -std=c11 $(WARNINGS) $(ERRORS) $(HARDENING) $(CFLAGS)
ALL_LDFLAGS = $(LDHARDEN) -Wl,--as-needed $(LDFLAGS)
LDLIBS     = -lbsd -lseccomp -lz -lcdb -lcrypt -lssl -lcrypto -lunbound -lidn2

# program = folder/main file.  A folder's other files are obj/FOLDER.a.
PROGRAMS   = smtpd queued qmgr local spawner authd pop3d pop3d-mailbox postern dnsd remote bounce pickup sendmail keyd
MAIN_smtpd = smtpd/main
MAIN_queued = queue/queued_main
MAIN_qmgr  = qmgr/main
MAIN_local = local/local_main
MAIN_spawner = local/spawner_main
MAIN_authd = authd/main
MAIN_pop3d = pop3d/main
MAIN_pop3d-mailbox = pop3d/mailbox_main
MAIN_postern = postern/main
MAIN_dnsd  = dnsd/main
MAIN_remote = remote/main
MAIN_keyd  = keyd/main
MAIN_bounce = queue/bounce_main
MAIN_pickup = queue/pickup_main
MAIN_sendmail = queue/sendmail_main

FOLDERS    = smtpd queue qmgr local authd pop3d postern dnsd remote keyd
SRC_common = $(wildcard common/*/*.c)
src        = $(filter-out $(1)/main.c $(1)/%_main.c,$(wildcard $(1)/*.c))
SRC_all    = $(SRC_common) $(wildcard $(addsuffix /*.c,$(FOLDERS)))

PROGRAMS_built = $(foreach p,$(PROGRAMS),$(if $(wildcard $(MAIN_$(p)).c),$(p)))

all: $(PROGRAMS_built:%=$(B)/%)

$(O)/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(ALL_CPPFLAGS) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

$(O)/common.a: $(SRC_common:%.c=$(O)/%.o)
	@rm -f $@
	ar rcs $@ $^

define folder_rules
$(O)/$(1).a: $(patsubst %.c,$(O)/%.o,$(call src,$(1)))
	@mkdir -p $(O)
	@rm -f $$@
	ar rcs $$@ $$^
endef
$(foreach f,$(FOLDERS),$(eval $(call folder_rules,$(f))))

define program_rules
$(B)/$(1): $(O)/$(MAIN_$(1)).o $(O)/$(firstword $(subst /, ,$(MAIN_$(1)))).a $(O)/common.a
	@mkdir -p $(B)
	$$(CC) $$(ALL_CFLAGS) $$(ALL_LDFLAGS) -o $$@ $$^ $$(LDLIBS)
endef
$(foreach p,$(PROGRAMS_built),$(eval $(call program_rules,$(p))))

# ---- tests ----

UNIT_SRC   = $(wildcard tests/unit/*_test.c)
ARCHIVES   = $(patsubst %,$(O)/%.a,$(foreach f,$(FOLDERS),$(if $(call src,$(f)),$(f))))
FUZZERS    = $(patsubst tests/fuzz/%_fuzz.c,%,$(wildcard tests/fuzz/*_fuzz.c))

$(O)/tests/suites.h: $(UNIT_SRC)
	@mkdir -p $(@D)
	for f in $(UNIT_SRC); do n=$${f##*/}; \
	    echo "SUITE($${n%_test.c})"; done > $@
$(O)/tests/unit/main.o: $(O)/tests/suites.h
$(O)/tests/unit/main.o: ALL_CPPFLAGS += -I$(O)/tests

$(B)/unit: $(O)/tests/unit/main.o $(UNIT_SRC:%.c=$(O)/%.o) $(ARCHIVES) $(O)/common.a
	@mkdir -p $(B)
	$(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) -o $@ $^ -lcheck -lsubunit -lm -lrt \
	    -lpthread $(LDLIBS)

# Fuzz entries replay their corpus with the plain compiler.
define fuzz_rules
$(B)/fuzz-$(1): $(O)/tests/fuzz/$(1)_fuzz.o $(O)/tests/fuzz/replay.o $(ARCHIVES) $(O)/common.a
	@mkdir -p $(B)
	$$(CC) $$(ALL_CFLAGS) $$(ALL_LDFLAGS) -o $$@ $$^ $$(LDLIBS)
endef
$(foreach f,$(FUZZERS),$(eval $(call fuzz_rules,$(f))))

$(B)/fault-shim.so: tests/fault/shim.c
	@mkdir -p $(B)
	$(CC) $(ALL_CPPFLAGS) -std=c11 $(WARNINGS) $(CFLAGS) -U_FORTIFY_SOURCE \
	    -fPIC -shared -o $@ $<

TOOLS = $(patsubst tests/tool/%.c,$(B)/test-%,$(wildcard tests/tool/*.c))
$(B)/test-%: $(O)/tests/tool/%.o $(ARCHIVES) $(O)/common.a
	@mkdir -p $(B)
	$(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) -o $@ $^ $(LDLIBS)

tests: all $(B)/unit $(FUZZERS:%=$(B)/fuzz-%) $(B)/fault-shim.so $(TOOLS)

check-unit: tests
	$(B)/unit

check-fuzz: tests
	for f in $(FUZZERS); do $(B)/fuzz-$$f tests/fuzz/corpus/$$f || exit 1; done

check: check-unit check-fuzz
	POSTERN_BIN=$(abspath $(B)) $(PYTEST) tests/e2e tests/fault

asan:
	$(MAKE) O=obj/asan B=obj/asan/bin tests PYTEST='$(PYTEST)' \
	    CFLAGS='-O1 -g -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer -DSANDBOX_LOG -Wno-format-truncation'
	CK_FORK=no ASAN_OPTIONS=detect_leaks=0 obj/asan/bin/unit
	$(MAKE) O=obj/asan B=obj/asan/bin check-fuzz \
	    CFLAGS='-O1 -g -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer -DSANDBOX_LOG -Wno-format-truncation'

lint:
	tests/lint/run

# ---- installation ----

install: all
	$(INSTALL) -d $(DESTDIR)$(sbindir) $(DESTDIR)$(libexecdir) \
	    $(DESTDIR)$(sysconfdir)/tables $(DESTDIR)$(datadir) \
	    $(DESTDIR)$(mandir)/man1 $(DESTDIR)$(mandir)/man5 \
	    $(DESTDIR)$(mandir)/man8
	for p in $(filter-out postern sendmail,$(PROGRAMS_built)); do \
	    $(INSTALL) -m 755 $(B)/$$p $(DESTDIR)$(libexecdir)/$$p || exit 1; done
	$(INSTALL) -m 755 $(B)/postern $(B)/sendmail $(DESTDIR)$(sbindir)/
	ln -sf sendmail $(DESTDIR)$(sbindir)/mailq
	ln -sf sendmail $(DESTDIR)$(sbindir)/newaliases
	$(INSTALL) -m 644 $(wildcard man/*.1) $(DESTDIR)$(mandir)/man1/
	$(INSTALL) -m 644 $(wildcard man/*.5) $(DESTDIR)$(mandir)/man5/
	$(INSTALL) -m 644 $(wildcard man/*.8) $(DESTDIR)$(mandir)/man8/
	LIBEXECDIR=$(libexecdir) SYSCONFDIR=$(sysconfdir) SBINDIR=$(sbindir) \
	    etc/install $(DESTDIR)$(datadir)
	test -e $(DESTDIR)$(sysconfdir)/postern.conf || $(INSTALL) -m 644 \
	    etc/postern.conf $(DESTDIR)$(sysconfdir)/postern.conf

clean:
	rm -rf $(O) $(B)

.PHONY: all tests check check-unit check-fuzz asan lint install clean
.SECONDARY:
.DELETE_ON_ERROR:

-include $(shell find $(O) -name '*.d' 2>/dev/null)

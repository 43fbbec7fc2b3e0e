# `make run` starts the exporter, `make test` runs everything CI runs. The rest are their parts.

CARGO ?= cargo
PORT ?= 10120
RULES_CONFIG := rules/flatline-rules.yml
SKIPPED := $(or $(TMPDIR),/tmp)/flatline-skipped-$(shell id -u)

.PHONY: run test deps lint unit audit fuzz hardening docs generated generate package package-test demo detection preview bench scale soak load golden clean

## Build and start the exporter without any configuration; arguments by ARGS="--log.level=debug".
run:
	$(CARGO) run --release --locked --package flatline-exporter -- $(ARGS)

## Everything: what the tests need, format, lints, tests, documentation, generated files.
test: deps lint unit audit fuzz hardening package-test docs generated
	@if [ -s $(SKIPPED) ]; then cat $(SKIPPED); fi
	@echo "make test: all parts passed, $$(cat $(SKIPPED) 2>/dev/null | wc -l) checks were skipped"

## What the tests need from Debian (real Prometheus, Alertmanager, QEMU).
deps:
	scripts/install-test-deps.sh

lint:
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --all-features --locked -- -D warnings

## Licences, bans and origins of all dependencies, and advisories where their database can be had.
audit:
	FLATLINE_LAB_SKIPPED=$(SKIPPED) scripts/audit.sh

unit:
	@rm -f $(SKIPPED)
	FLATLINE_PROMTOOL_NEWEST=$$(scripts/newest-promtool.sh) FLATLINE_LAB_SKIPPED=$(SKIPPED) $(CARGO) test --workspace --all-features --locked --no-fail-fast
	@if [ -s $(SKIPPED) ]; then cat $(SKIPPED); echo "make unit: $$(wc -l < $(SKIPPED)) checks were skipped, see above"; else echo "make unit: no check was skipped"; fi

## Every parser on FUZZ_RUNS inputs that nobody thought of, from those that are kept.
fuzz:
	scripts/fuzz.sh

docs:
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --no-deps --document-private-items --locked

## Fails when a generated file differs from what the generator writes today.
generated:
	$(CARGO) run --quiet --locked --package flatline-rules -- generate --config $(RULES_CONFIG) --output . --check

## Writes rules/, dashboards/, docs/{alerts,metrics,incidents}.md and the generated part of deploy/ anew.
generate:
	$(CARGO) run --quiet --package flatline-rules -- generate --config $(RULES_CONFIG) --output .

## The Debian package, into target/debian.
package:
	scripts/package.sh target/debian

## The package holds what it should, and lives through install, upgrade, remove and purge in a booted Debian. Packs the
## binary that the guest tests run: building the release costs minutes and is the same code.
package-test:
	$(CARGO) build --quiet --locked --package flatline-exporter --bin flatline-exporter
	FLATLINE_PACKAGE_BINARY=$${CARGO_TARGET_DIR:-target}/debug/flatline-exporter FLATLINE_PACKAGE_COMPRESSION=gzip \
	FLATLINE_LAB_SKIPPED=$(SKIPPED) scripts/test-package.sh

## The unit keeps nothing it does not need: systemd's own score, in tenths, is this or better.
hardening:
	@if command -v systemd-analyze >/dev/null; then \
	    said=$$(systemd-analyze security --offline=true --threshold=20 deploy/systemd/flatline-exporter.service) || { echo "$$said"; exit 1; }; \
	    echo "$$said" | tail -n 1; \
	else echo "SKIPPED: hardening of the unit: no systemd-analyze (Debian: systemd)" | tee -a $(SKIPPED); fi

## Kills the disk of a real virtual machine and shows how soon Slack is told: two minutes, and a build.
demo:
	$(CARGO) run --quiet --locked --package flatline-lab -- run vm-disk-stall

## Runs every scenario of the lab on real guests and writes docs/detection.md; some hours. Rules of others to be evaluated
## beside ours are given by ARGS="--others FILE".
detection:
	$(CARGO) run --release --quiet --locked --package flatline-lab -- all --results docs/detection $(ARGS)

## Shows each dashboard on replayed incidents, drawn by Grafana's components; writes docs/images/dashboards. Needs npm.
preview:
	crates/flatline-rules/preview/run

## Criterion benches, then the whole process beside node_exporter; writes docs/benchmarks.md.
bench:
	$(CARGO) bench --workspace
	bench/run

## What a scrape costs as what is watched grows; writes docs/scale.md.
scale: load
	bench/scale $(ARGS)

## An hour in which everything the exporter watches comes, goes, hangs and floods; writes docs/soak.md.
soak: load
	bench/soak $(ARGS)

# The exporter, and what plays cgroups and machines to it.
load:
	$(CARGO) build --release --locked --quiet --package flatline-exporter
	$(CARGO) build --release --locked --quiet --package flatline-sources --package flatline-qmp --features flatline-qmp/synthetic --examples

## Rewrites the golden expositions, Slack messages and docs/settings.md from what is said today; read the diff.
golden:
	FLATLINE_UPDATE_GOLDEN=1 $(CARGO) test --package flatline-exporter --test golden
	FLATLINE_UPDATE_GOLDEN=1 $(CARGO) test --package flatline-lab --test notifications
	FLATLINE_UPDATE_GOLDEN=1 $(CARGO) test --package flatline-package settings

clean:
	$(CARGO) clean

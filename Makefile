# For habit: `make VERB` is `./dev VERB`.
.DEFAULT_GOAL := build
Makefile FORCE: ;
%: FORCE
	@./dev $@

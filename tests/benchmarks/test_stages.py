import signal
import time

from benchmarks.report import ROOT
from benchmarks.stages import STAGES, cpu_seconds_by_stage, stage_of


def test_every_file_of_the_product_has_a_stage_and_nothing_else_has() -> None:
    for package in ("features", "models", "streams"):
        assert all(stage_of(str(path)) in STAGES for path in (ROOT / package).rglob("*.py"))
    assert stage_of(str(ROOT / "benchmarks" / "engine.py")) is None
    assert stage_of("<string>") is None


def test_a_stage_claims_files_that_exist() -> None:
    for begins in STAGES.values():
        for begin in begins:
            assert list(ROOT.glob(f"{begin}*")), f"no file begins with {begin}"


def test_what_the_measurement_itself_does_is_not_counted_though_a_command_called_it() -> None:
    namespace = {"clock": time.thread_time, "cpu_seconds_by_stage": cpu_seconds_by_stage}
    inside = """
def measure():
    with cpu_seconds_by_stage() as seconds:
        end_s = clock() + 0.1
        while clock() < end_s: pass
    return seconds
"""
    exec(compile(inside, "benchmarks/made_up.py", "exec"), namespace)
    exec(compile("found = measure()", str(ROOT / "streams" / "commands" / "bench.py"), "exec"), namespace)
    assert sum(namespace["found"].values()) == 0


def test_time_belongs_to_the_stage_that_used_it() -> None:
    code = compile("while clock() < end_s: pass", str(ROOT / "models" / "decision.py"), "exec")
    before = signal.getsignal(signal.SIGPROF)
    with cpu_seconds_by_stage() as seconds:
        started_s = time.thread_time()
        exec(code, {"clock": time.thread_time, "end_s": started_s + 0.2})
    spent = {stage: value for stage, value in seconds.items() if value}
    assert set(spent) == {"policy"}
    assert signal.getsignal(signal.SIGPROF) == before

"""The model alone: ours beside PyTorch and OpenVINO, on the same pixels, weights and threads, each at its best batch."""

import os
import time

import machine
from harness import Bench, say
from peer_process import PeerProcess

BATCHES = "16,32"
PREPARE_SECONDS = 300


def measure(bench: Bench) -> None:
    images = bench.images("480x360", 12 if bench.quick else 256)
    bench.make_weights()
    batches, seconds = ("2", 0.1) if bench.quick else (BATCHES, 1.5)
    peers = [] if bench.quick else start_peers(bench, batches, seconds)
    try:
        for _ in bench.rounds("model"):
            for precision in bench.precisions:
                arguments = ["--parts", "model", "--seconds", seconds, "--batches", batches, "--precisions", precision]
                rates = [row["images_per_second"] for row in bench.worker.report(images, *arguments)["model"]]
                bench.results.add(f"model/ours {precision}", max(rates), "img/s")
            for precision, peer in peers:
                answer = peer.rates()
                best: dict[str, float] = {}
                for name, rate in answer["rates"].items():
                    name = name.split("/")[0]
                    best[name] = max(rate, best.get(name, 0.0))
                for name, rate in best.items():
                    bench.results.add(f"model/{name} {precision}", rate, "img/s")
    finally:
        for _, peer in peers:
            peer.stop()
    for precision in bench.precisions:
        ours = f"model/ours {precision}"
        bench.results.ratio(f"model_{precision}_vs_torch_compile", ours, f"model/compile_freezing {precision}")
        bench.results.ratio(f"model_{precision}_vs_torch_eager", ours, f"model/eager {precision}")
        bench.results.ratio(f"model_{precision}_vs_openvino", ours, f"model/openvino {precision}")
    if not bench.quick:
        note_floor(bench)


def start_peers(bench: Bench, batches: str, seconds: float) -> list[tuple[str, PeerProcess]]:
    """Starts a process for each precision, one after the other, so that both cores compile one model."""
    arguments = ["--weights", bench.weights, "--device", "cpu", "--seconds", str(seconds)]
    peers = []
    os.environ |= bench.processes.environment()
    for precision in bench.precisions:
        say(f"model: compiling the peers in {precision}")
        variants = "eager,compile_freezing,openvino"
        options = [*arguments, "--precision", precision]
        peer = PeerProcess(f"peer_{precision}", variants, batches, bench.processes.logs, options)
        peers.append((precision, peer))
        peer.wait(time.monotonic() + PREPARE_SECONDS)
        for name, error in peer.about["errors"].items():
            bench.results.errors[f"model, {name} {precision}"] = error
    return peers


def note_floor(bench: Bench) -> None:
    """The least time per image: the operations of the convolutions at the measured speed of a matrix product."""
    for precision in bench.precisions:
        flops = machine.gemm_flops(precision)
        ceiling = flops / machine.FLOPS_PER_IMAGE
        share = bench.results.median(f"model/ours {precision}") / ceiling
        bench.results.notes[f"floor of the model, {precision}"] = (
            f"3.67 GMAC an image at {flops / 1e12:.2f} TFLOP/s, a matrix product of 2048: {ceiling:.0f} img/s; "
            f"ours is at {share:.0%}"
        )

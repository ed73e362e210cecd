"""From stored pixels to batches: the same images, wherever the pixels are kept."""

import pytest
import torch

from stages.training.images import gather_images


def test_a_batch_holds_the_images_at_its_rows() -> None:
    pixels = torch.arange(5 * 3 * 2 * 2, dtype=torch.uint8).view(5, 3, 2, 2)
    rows = torch.tensor([4, 0, 4])
    assert torch.equal(
        gather_images(pixels, rows, rows), torch.stack([pixels[4], pixels[0], pixels[4]])
    )


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_pixels_in_host_memory_reach_a_gpu_without_waiting_for_it() -> None:
    pixels = torch.randint(0, 256, (50, 3, 4, 4), dtype=torch.uint8)
    host_rows = torch.randperm(50)[:20]
    rows = host_rows.cuda()
    torch.cuda.set_sync_debug_mode("error")
    try:
        batch = gather_images(pixels, rows, host_rows)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert torch.equal(batch.cpu(), pixels[host_rows])

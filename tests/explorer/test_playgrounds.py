"""The playgrounds: their numbers are Python's, on pages that are opened in Chromium without a network."""
# ruff: noqa: F811       fixtures come by import

import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers import leave
from PIL import Image
from sklearn.metrics import average_precision_score
from test_browser import CHROMIUM, SHOTS, assert_numbers_are_pythons, browser, contrast, drawn, opened, shoot, sync_api  # noqa: F401

from adlib import ROOT
from adlib.data.category import load_category
from adlib.demo import load_textures
from adlib.explorer import CurvesByHand, PaintADefect, PerlinPlayground, ThresholdExplorer, TrainingFilm, normal_scale
from adlib.explorer.noise import uniform_of_seed
from adlib.explorer.paint import CONTRASTS, apply, differs, ready_made
from adlib.explorer.predictions import Finding, ask
from adlib.metrics import label_regions
from adlib.perlin import rotate
from adlib.runs.record import load_run

in_chromium = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine: apt-get install chromium")
WIDGET = "document.querySelector('[data-adlib-static]').widget"


def move(page, state: dict, more: str = "true") -> None:
    """Set traits of the page's widget, and wait until a frame shows them."""
    page.evaluate(f"""() => new Promise((done) => {{
        const w = {WIDGET};
        w.host.addEventListener("adlib:drawn", function seen() {{
            if (!({more})) return;
            w.host.removeEventListener("adlib:drawn", seen), done();
        }});
        w.set({json.dumps(state)});
    }})""")


def get(page, *names) -> list:
    return page.evaluate(f"() => {json.dumps(names)}.map((n) => {WIDGET}.get(n))")


def shown_numbers(page) -> dict:
    cells = page.locator("td[data-number]").all()
    return {c.get_attribute("data-number"): float(c.get_attribute("data-value")) for c in cells}


def names_of_what_has_the_focus(page, most=80) -> list[str]:
    """Tab through the page's widget: each stop shows a ring and has a name."""
    names = []
    page.locator("h2").first.evaluate("h => { h.tabIndex = -1; h.focus(); }")
    for _ in range(most):
        page.keyboard.press("Tab")
        name, ring = page.evaluate("""() => { const e = document.activeElement.shadowRoot?.activeElement;
            if (!e) return [null, ""];
            const seen = e.closest(".segments") ? e.nextSibling : e;
            const labels = [...(e.labels ?? [])].map((l) => l.textContent).join();
            return [e.getAttribute("aria-label") || labels || e.textContent, getComputedStyle(seen).outlineStyle]; }""")
        if name is None:
            break
        assert ring == "solid", name
        names.append(name.strip())
    assert names
    assert all(names)
    return names


def check_looks(open_page, made, name: str, texts: tuple[str, ...], ready: str) -> None:
    """It fits into 600 px, nothing is cut, and texts can be read in both themes."""
    for width, theme in ((600, "light"), (1100, "dark")):
        page = open_page(made, width=width, theme=theme, ready=ready)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        cut = page.evaluate(f"""() => [...{WIDGET}.root.querySelectorAll("button, label, td, th, h2, h3, span")]
            .filter((e) => e.scrollWidth > e.clientWidth + 1 && getComputedStyle(e).display !== "inline")
            .filter((e) => !e.closest(".unseen")).map((e) => e.textContent)""")
        assert cut == []
        unnamed = page.evaluate(f"""() => [...{WIDGET}.root.querySelectorAll("[role=img]")]
            .filter((e) => !e.getAttribute("aria-label")).length""")
        assert unnamed == 0
        for text in texts:
            assert contrast(page, text) >= 4.5, text
        shoot(page, f"{name}_{width}_{theme}")


def test_a_script_is_a_page_or_two():
    lengths = {file.name: len(file.read_text().splitlines()) for file in (ROOT / "adlib/explorer").glob("*.js")}
    del lengths["widget.js"]        # the explorer, older and larger
    assert max(lengths.values()) <= 300, lengths


# --- curves by hand ---------------------------------------------------------------------------------------------------

def tiny() -> CurvesByHand:
    masks = np.zeros((2, 4, 4), bool)
    masks[0, :2, :2] = masks[0, 3, 3] = True
    maps = [[[.9, .8, .3, .1], [.7, .2, .1, .1], [.4, .1, .1, .1], [.1, .1, .1, .6]],
            [[.85, .05, .05, .05], [.05, .05, .05, .05], [.05, .05, .05, .05], [.05, .05, .05, .05]]]
    return CurvesByHand(maps, masks)


def states(n=40):
    """Scores with ties and without, masks from empty to full."""
    rng = np.random.default_rng(0)
    for i in range(n):
        scores = np.round(rng.random(32), 1 + i % 3)
        yield {"scores": scores.tolist(), "truth": (rng.random(32) < [0, 0.1, 0.3, 0.6, 1][i % 5]).tolist(),
               "threshold": float(rng.random())}


# For each challenge, the scores and the anomalous pixels.
SOLVED = [([0.9] * 3 + [0.6] + [0.1] * 28, [3]),
          ([0.2] * 3 + [0.9] * 12 + [0.1] * 17, [0, 1, 2]),
          ([0.9] * 10 + [0.1] * 5 + [0] + [0.1] * 16, [*range(10), 15])]


@in_chromium
def test_the_six_numbers_of_any_state_are_pythons(opened):
    made = tiny()
    page = opened(made, ready=".board")
    assert shown_numbers(page) == pytest.approx(made.numbers(), nan_ok=True, abs=1e-12)
    for state in states():
        made.scores, made.truth = state["scores"], state["truth"]
        move(page, state)
        assert shown_numbers(page) == pytest.approx(made.numbers(), nan_ok=True, abs=1e-12)
        assert page.locator(".cell[data-flagged=true]").count() == sum(np.array(state["scores"]) >= state["threshold"])


@in_chromium
def test_each_challenge_can_be_solved(opened):
    page = opened(tiny(), ready=".board")
    goals = page.locator(".goals li")
    assert [goal.get_attribute("data-reached") for goal in goals.all()] == ["false"] * 3
    assert not goals.locator("p").first.is_visible()
    for k, (scores, truth) in enumerate(SOLVED):
        move(page, {"scores": scores, "truth": [i in truth for i in range(32)]})
        assert goals.nth(k).get_attribute("data-reached") == "true", shown_numbers(page)
        assert goals.nth(k).locator("p").is_visible()       # what it teaches
    page.get_by_role("button", name="Start again").click()
    page.locator(".goals li[data-reached=true]").first.wait_for(state="hidden")


@in_chromium
def test_pixels_are_changed_by_mouse_and_by_keys(opened):
    page = opened(tiny(), ready=".board")
    page.locator(".cell").nth(2).click()
    for key in ("ArrowDown", "ArrowRight", "+", "+", " "):
        page.keyboard.press(key)
    scores, truth = get(page, "scores", "truth")
    assert scores[7] == pytest.approx(0.2)
    assert truth[7]
    page.locator(".cell").nth(16).click(modifiers=["Shift"])
    assert get(page, "truth")[0][16]
    box = page.get_by_role("checkbox", name="anomalous")
    sync_api.expect(box).to_be_checked()
    box.uncheck()
    assert not get(page, "truth")[0][16]
    page.get_by_role("slider", name="score").fill("0.5")
    assert get(page, "scores")[0][16] == 0.5
    page.locator(".cell").nth(5).click()
    page.keyboard.press("Tab")      # into the second map: keys act where the focus is
    for key in ("ArrowRight", "-", " "):
        page.keyboard.press(key)
    scores, truth = get(page, "scores", "truth")
    assert (scores[17], scores[5], truth[17], truth[5]) == (0, pytest.approx(0.2), True, True)
    assert len(names_of_what_has_the_focus(page)) == 7
    check_looks(opened, tiny(), "curves", (".note", ".goals li", ".strong"), ".board")


def test_bad_maps_are_refused():
    with pytest.raises(ValueError, match=r"scores in \[0, 1\]"):
        CurvesByHand(np.full((1, 4, 4), 2.0), np.zeros((1, 4, 4), bool))
    with pytest.raises(ValueError, match="maps are"):
        CurvesByHand(np.zeros((1, 4, 5)), np.zeros((1, 4, 4), bool))


# --- Perlin noise -----------------------------------------------------------------------------------------------------

def noise_playground(size=64) -> PerlinPlayground:
    rng = np.random.default_rng(0)
    return PerlinPlayground(rng.integers(0, 256, (3, size, size), np.uint8),
                            rng.integers(0, 256, (2, 3, size, size), np.uint8), ["rust", "moss"])


def test_seeds_give_even_numbers():
    drawn = np.concatenate([uniform_of_seed(seed, 500) for seed in (0, 1, 7, 2**31 - 1)])
    assert np.histogram(drawn, 10, (0, 1))[0].sum() == 2000
    assert drawn.mean() == pytest.approx(0.5, abs=0.03)
    assert len(np.unique(drawn)) == 2000


@in_chromium
def test_noise_mask_and_blend_are_adlibs(opened):
    made = noise_playground()
    page = opened(made)
    for cells, threshold, rotation, opacity, seed, texture in [
            ([4, 4], 0.5, 0, 1, 0, 0), ([1, 32], 0.2, 35, 0.5, 3, 1), ([8, 2], -0.3, -90, 0.25, 12345, 0),
            ([2, 2], 0.05, 90, 1, 1, 1), ([16, 16], 1.0, 10, 1, 2, 0)]:
        state = {"cells": cells, "threshold": threshold, "rotation": rotation, "opacity": opacity, "seed": seed,
                 "texture": texture}
        for name, value in state.items():
            setattr(made, name, value)
        move(page, state)
        noise, mask = (np.array(page.evaluate(f"[...{WIDGET}.{name}]")).reshape(64, 64) for name in ("noise", "mask"))
        assert noise == pytest.approx(made.noise().numpy(), abs=1e-5)
        turned = rotate(made.noise()[None, None], torch.tensor([made.rotation]))[0, 0].numpy()
        clear = abs(turned - threshold) > 1e-4      # elsewhere rounding decides
        assert clear.mean() > 0.98
        assert np.array_equal(mask[clear] == 1, made.mask().numpy()[clear])
        assert float(page.locator("[data-number=coverage]").get_attribute("data-value")) == mask.mean()
        regions = int(page.locator("[data-number=regions]").get_attribute("data-value"))
        assert regions == label_regions(mask[None] == 1).max()
        data = page.locator("canvas").nth(3).evaluate("c => [...c.getContext('2d').getImageData(0, 0, 64, 64).data]")
        blended = np.array(data).reshape(64, 64, 4)[..., :3].transpose(2, 0, 1)
        assert abs(blended - made.blended().astype(int))[:, clear].max() <= 1


@in_chromium
def test_the_histogram_counts_the_masks_of_many_seeds(opened):
    made = noise_playground()
    page = opened(made)
    page.get_by_role("slider", name="Threshold").fill("0.3")
    made.threshold = 0.3
    page.wait_for_function(f"{WIDGET}.summary.dataset.n === '200' && {WIDGET}.counted.includes('0.3')")
    covered = []
    for seed in range(200):
        made.seed = seed
        covered.append(made.numbers()["coverage"])
    assert float(page.locator("[data-mean]").get_attribute("data-mean")) == pytest.approx(np.mean(covered), abs=1e-4)
    before = page.locator("canvas").nth(1).get_attribute("aria-label")
    page.get_by_role("button", name="Next seed").click()
    page.wait_for_function(f"{WIDGET}.layers[1].canvas.getAttribute('aria-label') !== {json.dumps(before)}")
    assert get(page, "seed") == [1]
    assert len(names_of_what_has_the_focus(page)) == 8
    check_looks(opened, noise_playground(), "noise", (".note", ".numbers", ".strong"), "canvas[aria-label]")


def test_textures_must_fit():
    with pytest.raises(ValueError, match="multiple of 32"):
        noise_playground(40)


# --- paint a defect ---------------------------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The folders of two runs on one category, at 64 px."""
    root = tmp_path_factory.mktemp("trained")
    return [leave(root, method)[0] for method in ("stfpm", "nearest")]


def test_painted_images_are_judged_as_the_runs_judge_them(trained):
    made = PaintADefect(trained)
    painted = made.image.clone()
    painted[:, 10:20, 30:50] = 0
    mask = torch.zeros(1, 64, 64, dtype=torch.bool)
    mask[0, 10:20, 30:50] = True
    scores, ap, maps = made.judge(painted[None], mask)
    large = np.kron(mask[0].numpy(), np.ones((4, 4), bool))
    for k, folder in enumerate(trained):
        found = load_run(folder).score(painted[None])
        assert scores[0, k] == pytest.approx(found.scores[0].item(), rel=1e-5)
        oracle = average_precision_score(large.ravel(), found.maps[0].numpy().ravel())
        assert ap[0, k] == pytest.approx(oracle, rel=1e-4)
        heat = normal_scale(load_run(folder).maps, load_run(folder).labels)
        cell = ((found.maps[0].numpy() - heat["vmin"]) / (heat["vmax"] - heat["vmin"])).clip(0, 1)[:4, :4].mean()
        assert maps[0, k, 0, 0] == pytest.approx(255 * cell, abs=1)
    assert np.isnan(made.judge(painted[None], mask & False)[1]).all()


def test_ready_made_defects_change_something_and_grow_with_contrast(trained):
    made = PaintADefect(trained[0])
    image = made.image.permute(1, 2, 0).numpy()
    every = ready_made(image, made.texture.permute(1, 2, 0).numpy())
    assert len(every) == 10
    for name, delta in every.items():
        size = [differs(apply(image, delta, c), image).sum() for c in CONTRASTS]
        assert (np.diff(size) >= 0).all(), name
        assert 0 < size[-1] < 0.25 * 64 * 64, name


def test_what_cannot_be_painted_on_is_refused(trained):
    with pytest.raises(ValueError, match="one to four"):
        PaintADefect({str(k): trained[0] for k in range(5)})
    with pytest.raises(ValueError, match="one to four"):
        PaintADefect(np.zeros((2, 8, 8)))


@in_chromium
def test_a_page_without_a_kernel_knows_what_the_runs_said(opened, trained):
    made = PaintADefect(trained)
    page = opened(made, ready=".pictures canvas[aria-label]")
    image = made.image.permute(1, 2, 0).numpy()
    every = list(ready_made(image, made.texture.permute(1, 2, 0).numpy()).values())
    for defect, level in [(9, 7), (2, 3), (6, 0), (0, 7)]:
        painted = apply(image, every[defect], CONTRASTS[level])
        mask = differs(painted, image)
        scores, ap, maps = made.judge(torch.from_numpy(painted).permute(2, 0, 1)[None], torch.from_numpy(mask)[None])
        move(page, {"defect": defect, "contrast": level}, f"w.answer.at === {8 * defect + level}")
        assert page.evaluate(f"[...{WIDGET}.now]") == painted.ravel().tolist()
        assert page.evaluate(f"[...{WIDGET}.mask()]") == mask.ravel().astype(int).tolist()
        # one image and a batch of 80 round differently
        assert page.evaluate(f"{WIDGET}.answer.scores") == pytest.approx(scores[0].tolist(), rel=1e-4)
        assert page.evaluate(f"{WIDGET}.answer.ap") == pytest.approx(ap[0].tolist(), rel=1e-4)
        assert abs(np.array(page.evaluate(f"[...{WIDGET}.heatOf]")) - maps[0].ravel().astype(int)).max() <= 1
        verdicts = ["flagged" if s >= t else "passed" for s, t in zip(scores[0], made.thresholds, strict=True)]
        assert page.locator("tbody tr td:nth-of-type(2)").all_text_contents() == verdicts
    assert page.locator(".segments").count() == 0
    assert len(names_of_what_has_the_focus(page)) == 3
    check_looks(opened, made, "paint", (".note", ".share"), ".pictures canvas[aria-label]")


@in_chromium
def test_a_veil_that_nobody_sees_is_no_missed_defect(opened, trained):
    """Of what a run passes, pixels that changed by a tenth count; a run that flags everything finds nothing."""
    made = PaintADefect(trained)
    made.thresholds = [1e9, -1e9]
    made.defect, made.contrast = 2, 0
    page = opened(made, ready=".pictures canvas[aria-label]")
    image = made.image.permute(1, 2, 0).numpy()
    delta = list(ready_made(image, made.texture.permute(1, 2, 0).numpy()).values())[2]
    for level in (0, 7):
        move(page, {"contrast": level}, f"w.answer.at === {8 * 2 + level}")
        changed = abs(apply(image, delta, CONTRASTS[level]).astype(int) - image).max(axis=2)
        visible = int((changed > 25).sum())
        assert ((changed > 1).any(), visible > 0) == (True, level == 7)
        first, second = made.runs
        told = page.locator(".share").text_content()
        assert (f"{first} missed {visible} px" in told) == (f"{first} missed" in told) == (level == 7)
        assert f"{second} flags even the clean image" in told


@in_chromium
def test_the_line_is_copied_or_else_selected(opened, trained):
    page = opened(PaintADefect(trained), ready=".pictures canvas[aria-label]")
    clipboard = "{writeText: async (text) => { window.kept = text; }}"
    page.evaluate(f"() => {{ Object.defineProperty(navigator, 'clipboard', {{value: {clipboard}}}); }}")
    page.get_by_role("button", name="Copy the line").click()
    page.get_by_role("button", name="Copied").wait_for()
    assert page.evaluate("window.kept") == page.locator(".share").text_content()
    page.get_by_role("button", name="Copy the line").wait_for()
    page.evaluate("() => { navigator.clipboard.writeText = async () => { throw new Error('denied'); }; }")
    page.get_by_role("button", name="Copy the line").click()
    page.get_by_role("button", name="Selected: press Ctrl+C").wait_for()


# --- training film ----------------------------------------------------------------------------------------------------

def film(methods=("STFPM", "DeSTSeg")) -> TrainingFilm:
    """Maps in which a square rises from noise while a student learns."""
    rng, masks = np.random.default_rng(0), np.zeros((3, 256, 256), bool)
    masks[1:, 60:120, 90:160] = True
    reels = {name: {step: torch.from_numpy(rng.random((3, 256, 256)) + masks * np.log1p(step) * (k + 1) / 8)
                    for step in (0, 1, 5, 50)} for k, name in enumerate(methods)}
    return TrainingFilm(rng.integers(0, 256, (3, 3, 64, 64), np.uint8), reels, labels=[False, True, True], masks=masks,
                        losses={"STFPM": [3 / (i + 1) for i in range(60)]})


def test_a_frame_is_described():
    made = film()
    maps = made.reels["STFPM"][50].numpy()
    found = made.describe("STFPM", 50)
    assert found["ap"] == pytest.approx(average_precision_score(made.masks.ravel(), maps.ravel()))
    assert sum(found["counts"][1]) == made.masks.sum()
    assert sum(found["counts"][0]) == (~made.masks).sum()
    low, high = found["scale"]
    normal = maps[0].ravel()
    assert (low, (low + high) / 2) == pytest.approx((np.median(normal), np.quantile(normal, 0.999)))
    above = (maps[~made.masks] >= (low + high) / 2).sum()
    assert sum(found["counts"][0][24:]) == pytest.approx(above, abs=3)
    made.masks = None
    assert made.describe("STFPM", 50)["ap"] is None


def test_a_film_needs_a_map_of_each_image():
    with pytest.raises(ValueError, match="film of x needs"):
        TrainingFilm(np.zeros((2, 3, 8, 8), np.uint8), {"x": {0: torch.zeros(3, 256, 256)}}, labels=[0, 1])
    with pytest.raises(ValueError, match="film of x needs"):
        TrainingFilm(np.zeros((2, 3, 8, 8), np.uint8), {"x": {}}, labels=[0, 1])


@in_chromium
def test_the_film_shows_the_frame_of_the_slider(opened):
    made = film()
    page = opened(made, ready=".reel canvas[aria-label]")
    page.wait_for_function(f"{WIDGET}.reels")
    seen = set()
    for method, name in enumerate(made.reels):
        for frame, step in enumerate(made.reels[name]):
            move(page, {"frame": frame, "method": method})
            assert page.locator(".time output").text_content() == f"step {step}"
            assert f"{made.describe(name, step)['ap']:.3f}" in page.locator(".plots").text_content()
            for other in made.reels:        # side by side, whichever is chosen
                histogram = page.get_by_role("img", name=f"Histograms of {other}'s scores at step {step}:")
                assert f"{made.describe(other, step)['scale'][1]:#.4g}" in histogram.text_content()
            seen.add(page.locator(".reel canvas").nth(3).evaluate("c => c.toDataURL()"))
        assert ("Loss" in page.locator(".plots").text_content()) == (name == "STFPM")
    assert len(seen) == 8
    move(page, {"frame": 0, "method": 0})
    reel = np.array(page.evaluate(f"[...{WIDGET}.reels[3]]")).reshape(3, 64, 64)
    low, high = made.describe("STFPM", 50)["scale"]
    cells = ((made.reels["STFPM"][50].numpy() - low) / (high - low)).clip(0, 1).reshape(3, 64, 4, 64, 4).mean((2, 4))
    assert abs(reel - 255 * cells).max() <= 0.51
    page.get_by_role("button", name="Play").click()
    page.wait_for_function(f"{WIDGET}.get('frame') === 3 && !{WIDGET}.playing")
    page.get_by_role("slider", name="Training step").press("Home")
    page.wait_for_function(f"{WIDGET}.get('frame') === 0")
    page.get_by_role("radio", name="DeSTSeg").check(force=True)
    assert get(page, "method") == [1]
    assert len(names_of_what_has_the_focus(page)) == 3
    check_looks(opened, made, "film", (".note", ".strong"), ".reel canvas[aria-label]")


# --- predict, then reveal ---------------------------------------------------------------------------------------------

@in_chromium
def test_a_form_without_a_kernel_shows_what_was_asked(opened, tmp_path):
    form = ask("x", "Which level finds the thinnest scratch?", ["level 1", "level 2", "none"], out_dir=tmp_path)
    page = opened(form, ready=".form")
    assert page.get_by_role("group", name="Predict: Which level").count() == 1
    assert page.locator(".form .quiet").text_content().startswith("choose, then compare")
    page.get_by_role("radio", name="none").check()
    page.get_by_role("slider", name="How sure?").press("End")
    assert "100 %" in page.locator(".form").text_content()
    assert page.get_by_role("button").count() == 0      # a page cannot keep it
    form.answer = {"choice": 1, "sure": 0.7}
    page = opened(form, ready=".form")
    assert page.get_by_role("radio", name="level 2").is_checked()
    assert "70 %" in page.locator(".form").text_content()
    check_looks(opened, form, "predict", ("legend",), ".form")


@in_chromium
def test_a_page_unfolds_what_the_run_found_once_it_was_guessed(opened, tmp_path):
    pages = [ask(name, "Is it?", ["yes", "no"], out_dir=tmp_path)._form() for name in "xy"]
    pages += [Finding(name, "Is it?", "not answered", f"The answer: {said}.", folded=True)._repr_html_()
              for name, said in {"x": "yes", "y": "no"}.items()]
    path = tmp_path / "page.html"
    path.write_text('<!doctype html><html lang="en"><meta charset="utf-8"><title>x</title>' + "\n".join(pages))
    page = opened(path, ready=".form")
    found = [page.get_by_text("The answer: yes."), page.get_by_text("The answer: no.")]
    assert not found[0].is_visible()
    compare = page.get_by_role("button", name="Compare")
    assert compare.first.is_disabled()
    page.get_by_role("radio", name="no").first.check()
    compare.first.click()
    found[0].wait_for()
    assert not found[1].is_visible()
    page.get_by_text("Show the answer").nth(1).click()       # a look without a guess
    page.wait_for_function("document.querySelectorAll('[data-adlib-static]')[1].widget.get('seen')")
    assert not page.evaluate("document.querySelector('[data-adlib-static]').widget.get('seen')")


@in_chromium
def test_a_number_is_guessed_with_a_slider(opened, tmp_path):
    form = ask("x", "How much of the image is flagged?", between=(0, 100), within=5, unit="%", out_dir=tmp_path)
    page = opened(form, ready=".form")
    assert "move the slider" in page.locator(".form").text_content()
    assert page.get_by_role("slider", name="How sure, to ±5 %?").count() == 1
    form.answer = {"choice": 37, "sure": 0.6}
    page = opened(form, ready=".form")
    guess = page.get_by_role("slider", name="Your guess")
    assert guess.input_value() == "37"
    assert guess.get_attribute("aria-valuetext") == "37 %"
    assert "60 %" in page.locator(".form").text_content()
    check_looks(opened, form, "guess", ("legend",), ".form")


# --- the pictures of the README ---------------------------------------------------------------------------------------

LEDGER = os.environ.get("ADLIB_LEDGER")     # a folder with demo runs of STFPM and RD4AD, seed 0, on circuit


@in_chromium
@pytest.mark.skipif(LEDGER is None, reason="ADLIB_LEDGER names no folder of runs")
def test_the_readmes_pictures_are_of_real_runs(opened, tmp_path):
    """With ADLIB_SHOTS it leaves playgrounds.png and explorer.png there."""
    stfpm, rd4ad = (load_run(next(f.parent for f in Path(LEDGER).glob(f"{method}/demo/circuit/demo-s0-*/run.json")))
                    for method in ("stfpm", "rd4ad"))
    data = load_category(stfpm.entry["parameters"]["data_root"], "circuit", image_size=128)
    filmed = stfpm.snapshot_images.tolist()
    reel = dict(zip(stfpm.snapshot_steps.tolist(), torch.from_numpy(stfpm.snapshot_maps), strict=True))
    noise = PerlinPlayground(data.train[0], load_textures("auto", 128)[::4][:4])
    noise.cells, noise.rotation = [4, 8], 30.0
    paint = PaintADefect([stfpm, rd4ad])
    paint.defect, paint.contrast = 9, 3
    made = TrainingFilm(data.test[filmed], {"STFPM": reel}, masks=data.masks[filmed], labels=data.labels[filmed])
    made.frame = len(reel) - 2
    ready = [".board", "canvas[aria-label]", ".pictures canvas[aria-label]", ".reel canvas[aria-label]"]
    pages = [opened(widget, width=1000, ready=r) for widget, r in zip([tiny(), noise, paint, made], ready, strict=True)]
    assert shown_numbers(pages[0]) == pytest.approx(tiny().numbers(), nan_ok=True, abs=1e-12)
    pages[1].wait_for_function(f"{WIDGET}.summary.dataset.n === '200'")
    pages[2].wait_for_function(f"{WIDGET}.answer?.at === {8 * 9 + 3}")
    assert f"{made.describe('STFPM', list(reel)[made.frame])['ap']:.3f}" in pages[3].locator(".plots").text_content()
    explorer = ThresholdExplorer({"STFPM": stfpm, "RD4AD": rd4ad})
    last = opened(explorer)
    drawn(last, "e.redraw()")
    assert_numbers_are_pythons(last, explorer, explorer.index)
    sync_api.expect(last.get_by_role("combobox", name="Axis")).to_have_value("share")    # STFPM's scores are squeezed
    shoot(last, "explorer")
    if not SHOTS:
        return
    shots = []
    for k, page in enumerate(pages):
        page.locator("body").screenshot(path=tmp_path / f"{k}.png")
        shot = Image.open(tmp_path / f"{k}.png").convert("RGB")
        shots.append(shot.resize((700, 700 * shot.height // shot.width), Image.Resampling.LANCZOS))
    rows = [max(shots[k].height, shots[k + 1].height) for k in (0, 2)]
    sheet = Image.new("RGB", (1400, sum(rows)), "white")
    for k, shot in enumerate(shots):
        sheet.paste(shot, (700 * (k % 2), rows[0] * (k // 2)))
    sheet.save(Path(SHOTS) / "playgrounds.png")
    for name in ("playgrounds", "explorer"):
        picture = Image.open(Path(SHOTS) / f"{name}.png").convert("RGB")
        picture.quantize(256).save(Path(SHOTS) / f"{name}.png", optimize=True)

"""The whole training in order: autoencoder, text encoder, denoiser, decoder, export."""

import time
from dataclasses import dataclass
from pathlib import Path

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from transformers import CLIPTextModel

from training import autoencoder, denoiser, text_encoder
from training.attempts import Sketcher
from training.autoencoder import (
    WIDE,
    autoencoder_loss,
    build_autoencoder,
    decoding_half,
    polish_loss,
)
from training.denoiser import LatentPictures, build_unet, denoiser_loss
from training.export import export
from training.grounding import AttentionSight, ground_of
from training.latents import COUNT, cached_latents, latent_scenes, standardise
from training.run import Run
from training.stage import Stage
from training.text_encoder import (
    FactReader,
    build_text_encoder,
    fact_loss,
    load_tokenizer,
    mute_pieces,
)
from training.widening import widened

#: Seconds between two exports of the averaged weights while the denoiser learns.
EXPORT_EVERY_S = 600.0
#: Scenes over which the latents' mean and deviation are taken.
STANDARD_SCENES = 2000


@dataclass(frozen=True, kw_only=True)
class Course:
    """Where and on what to train; `deadline` is in seconds of `time.time`."""

    folder: Path
    output: Path
    device: str
    seed: int
    deadline: float
    #: A finished model to go on from: only its denoiser and its decoder learn on.
    start_from: Path | None = None
    #: Of these only the decoder.
    decoder_only: bool = False

    def run(self) -> bool:
        """Train until all is done or the deadline is near; True if all is done.

        Raises FolderTakenError if the folder holds the checkpoints of another run.
        """
        claim = Run.of(seed=self.seed, start_from=self.start_from, decoder_only=self.decoder_only)
        claim.claim(self.folder)
        vae = self._autoencoder()
        if vae is None:
            return False
        texts = self._text_encoder()
        if texts is None:
            return False
        unet = self._unet() if self.decoder_only else self._denoiser(vae, texts)
        if unet is None:
            return False
        polished = self._polish(vae, texts, unet)
        if polished is None:
            return False
        export(polished, texts, unet, folder=self.output)
        return True

    def _autoencoder(self) -> AutoencoderKL | None:
        if self.start_from is not None:
            learnt = AutoencoderKL.from_pretrained(self.start_from / "vae", dtype=torch.float32)
            # Into a fresh one, which does not write down where it comes from.
            config = {k: v for k, v in learnt.config.items() if k != "_name_or_path"}
            kept = AutoencoderKL.from_config(config)
            kept.load_state_dict(learnt.state_dict())
            kept.register_to_config(scaling_factor=learnt.config.scaling_factor)
            return kept.to(self.device).eval()
        torch.manual_seed(self.seed)
        model = build_autoencoder().to(self.device)
        stage = Stage(autoencoder.PLAN, model, folder=self.folder, device=self.device)
        stage.train(
            lambda step: autoencoder_loss(model, seed=self.seed, step=step, device=self.device),
            deadline=self.deadline,
        )
        stage.use_averaged()
        model.eval()
        standardise(model, latent_scenes(STANDARD_SCENES, seed=self.seed), device=self.device)
        return model if stage.is_finished else None

    def _text_encoder(self) -> CLIPTextModel | None:
        if self.start_from is not None:
            kept = CLIPTextModel.from_pretrained(
                self.start_from / "text_encoder", dtype=torch.float32, attn_implementation="eager"
            )
            return kept.to(self.device).eval()
        torch.manual_seed(self.seed)
        model = build_text_encoder()
        mute_pieces(model)
        reader = FactReader(model).to(self.device)
        tokenizer = load_tokenizer(self.folder / "tokenizer")
        stage = Stage(text_encoder.PLAN, reader, folder=self.folder, device=self.device)
        stage.train(
            lambda step: fact_loss(reader, tokenizer, step=step, device=self.device),
            deadline=self.deadline,
        )
        stage.use_averaged()
        mute_pieces(model)
        return model.eval() if stage.is_finished else None

    def _pictures(self, vae: AutoencoderKL, texts: CLIPTextModel) -> LatentPictures:
        scenes = latent_scenes(COUNT, seed=self.seed)
        return LatentPictures(
            scenes=scenes,
            latents=cached_latents(vae, scenes, folder=self.folder, device=self.device),
            grounds=torch.stack([ground_of(scene) for scene in scenes]),
            tokenizer=load_tokenizer(self.folder / "tokenizer"),
            text_encoder=texts,
            one_item_steps=0 if self.start_from is not None else denoiser.ONE_ITEM_STEPS,
        )

    def _denoiser(self, vae: AutoencoderKL, texts: CLIPTextModel) -> UNet2DConditionModel | None:
        pictures = self._pictures(vae, texts)
        unet = self._unet()
        stage = Stage(denoiser.PLAN, unet, folder=self.folder, device=self.device)
        sight = AttentionSight(unet)
        averaged = build_unet().to(self.device)
        averaged.load_state_dict(stage.averaged)
        while not stage.is_finished and time.time() < self.deadline:
            stage.train(
                lambda step: denoiser_loss(unet, sight, pictures, step=step, device=self.device),
                deadline=min(self.deadline, time.time() + EXPORT_EVERY_S),
            )
            averaged.load_state_dict(stage.averaged)
            # To be looked at; `output` gets what is finished only.
            export(vae, texts, averaged, folder=self.folder / "model")
        return averaged if stage.is_finished else None

    def _unet(self) -> UNet2DConditionModel:
        """Fresh, or as far as the model to go on from; a checkpoint replaces either."""
        torch.manual_seed(self.seed)
        unet = build_unet().to(self.device)
        if self.start_from is not None:
            folder = self.start_from / "unet"
            learnt = UNet2DConditionModel.from_pretrained(folder, dtype=torch.float32)
            unet.load_state_dict(learnt.state_dict())
        return unet

    def _polish(
        self, vae: AutoencoderKL, texts: CLIPTextModel, unet: UNet2DConditionModel
    ) -> AutoencoderKL | None:
        sketcher = Sketcher(
            vae=vae,
            unet=unet,
            text_encoder=texts,
            tokenizer=load_tokenizer(self.folder / "tokenizer"),
            device=self.device,
        )
        drawn = sketcher.attempts(seed=self.seed, folder=self.folder, deadline=self.deadline)
        if drawn is None:
            return None
        if tuple(vae.config.block_out_channels) != WIDE:
            vae = widened(vae.cpu(), WIDE).to(self.device)
        stage = Stage(
            autoencoder.POLISH_PLAN, decoding_half(vae), folder=self.folder, device=self.device
        )
        stage.train(
            lambda step: polish_loss(
                vae, drawn.batch, seed=self.seed, step=step, device=self.device
            ),
            deadline=self.deadline,
        )
        stage.use_averaged()
        return vae if stage.is_finished else None

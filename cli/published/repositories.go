package published

// repositoryRow is a model of the Hugging Face hub that is worth trying, as its publisher describes it.
type repositoryRow struct {
	name      string
	modelType string // as config.json has it; it is listed where the table of architectures knows it
	what      string
	licence   string
	bytes     int64   // of its weights, from the number of its parameters; the hub knows better
	cider     float64 // on COCO's Karpathy test split, times 100; 0 where nobody has published it
	source    string  // of cider
	speed     float64 // images/s, as Speeds says; 0 where it was not measured
}

// Speeds says what the speeds of the list are.
const Speeds = "IMAGES/S: a folder of photographs in int8, 3 beams, 12 tokens, on two threads of an AMD EPYC " +
	"(Zen 4), by a model of this size with random weights"

// captioners begin the list of weights.
var captioners = []repositoryRow{
	{
		name: "Salesforce/blip-image-captioning-base", modelType: "blip", what: "BLIP base", licence: "BSD-3-Clause",
		bytes: 990e6, cider: 133.3, source: "BLIP (Li et al. 2022), table 7", speed: 3.9,
	},
	{
		name: "Salesforce/blip-image-captioning-large", modelType: "blip", what: "BLIP large", licence: "BSD-3-Clause",
		bytes: 1.88e9, cider: 136.7, source: "BLIP (Li et al. 2022), table 7", speed: 1.5,
	},
	{
		name: "microsoft/git-base-coco", modelType: "git", what: "GIT base, tuned on COCO", licence: "MIT",
		bytes: 707e6, cider: 131.4, source: "README of microsoft/GenerativeImage2Text", speed: 10.1,
	},
	{
		name: "microsoft/git-large-coco", modelType: "git", what: "GIT large, tuned on COCO", licence: "MIT",
		bytes: 1.58e9, cider: 138.5, source: "README of microsoft/GenerativeImage2Text", speed: 3.4,
	},
	{
		name: "microsoft/git-base-textcaps", modelType: "git", what: "GIT base, tuned on TextCaps: it reads signs",
		licence: "MIT", bytes: 707e6, speed: 10.1,
	},
	{
		name: "microsoft/git-large-textcaps", modelType: "git", what: "GIT large, tuned on TextCaps: it reads signs",
		licence: "MIT", bytes: 1.58e9, speed: 3.4,
	},
	{
		name: "florence-community/Florence-2-base", modelType: "florence2", what: "Florence-2 base, short and long captions",
		licence: "MIT", bytes: 463e6, cider: 133.0, source: "model card of microsoft/Florence-2-base", speed: 0.9,
	},
	{
		name: "florence-community/Florence-2-large", modelType: "florence2",
		what: "Florence-2 large, short and long captions", licence: "MIT", bytes: 1.55e9, cider: 135.6,
		source: "model card of microsoft/Florence-2-large",
	},
	{
		name: "laion/mscoco_finetuned_CoCa-ViT-B-32-laion2B-s13B-b90k", modelType: "coca",
		what: "CoCa ViT-B/32 of OpenCLIP, tuned on COCO", licence: "MIT", bytes: 1.01e9, speed: 17.9,
	},
	{
		name: "laion/mscoco_finetuned_CoCa-ViT-L-14-laion2B-s13B-b90k", modelType: "coca",
		what: "CoCa ViT-L/14 of OpenCLIP, tuned on COCO", licence: "MIT", bytes: 2.55e9, speed: 3.0,
	},
	{
		name: "nlpconnect/vit-gpt2-image-captioning", modelType: "vision-encoder-decoder", what: "ViT base and GPT-2",
		licence: "Apache-2.0", bytes: 982e6, speed: 11.2,
	},
}

// encoders are vision encoders to train with. A SigLIP comes with its text tower, which is not read.
var encoders = []repositoryRow{
	{
		name: "google/siglip-base-patch16-224", modelType: "siglip", what: "SigLIP base, images of 224 pixels",
		licence: "Apache-2.0", bytes: 813e6,
	},
	{
		name: "google/siglip-so400m-patch14-384", modelType: "siglip", what: "SigLIP so400m, images of 384 pixels",
		licence: "Apache-2.0", bytes: 3.51e9,
	},
	{
		name: "google/siglip2-base-patch16-256", modelType: "siglip", what: "SigLIP 2 base, images of 256 pixels",
		licence: "Apache-2.0", bytes: 1.5e9,
	},
	{
		name: "google/siglip2-so400m-patch14-384", modelType: "siglip", what: "SigLIP 2 so400m, images of 384 pixels",
		licence: "Apache-2.0", bytes: 4.54e9,
	},
	{name: "facebook/dinov2-small", modelType: "dinov2", what: "DINOv2 small", licence: "Apache-2.0", bytes: 88e6},
	{name: "facebook/dinov2-base", modelType: "dinov2", what: "DINOv2 base", licence: "Apache-2.0", bytes: 346e6},
	{name: "facebook/dinov2-large", modelType: "dinov2", what: "DINOv2 large", licence: "Apache-2.0", bytes: 1.22e9},
	{name: "facebook/dinov2-giant", modelType: "dinov2", what: "DINOv2 giant", licence: "Apache-2.0", bytes: 4.55e9},
	{
		name: "facebook/dinov2-with-registers-base", modelType: "dinov2_with_registers",
		what: "DINOv2 base with 4 registers", licence: "Apache-2.0", bytes: 346e6,
	},
	{
		name: "microsoft/swin-tiny-patch4-window7-224", modelType: "swin", what: "Swin tiny, images of 224 pixels",
		licence: "Apache-2.0", bytes: 113e6,
	},
	{
		name: "microsoft/swin-base-patch4-window7-224", modelType: "swin", what: "Swin base, images of 224 pixels",
		licence: "Apache-2.0", bytes: 351e6,
	},
	{
		name: "microsoft/beit-base-patch16-224-pt22k-ft22k", modelType: "beit", what: "BEiT base, images of 224 pixels",
		licence: "Apache-2.0", bytes: 414e6,
	},
}

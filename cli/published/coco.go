package published

import (
	"context"
	"errors"
	"os"
	"path/filepath"

	"captioner/cli/console"
	coco2014 "captioner/data/coco"
	"captioner/models/train/features"
	"captioner/torch/dist"
	"captioner/weights/store"
)

// CocoName is what stands for --data where there is none.
const CocoName = "COCO 2014"

// CocoBytes is about how much COCO 2014 is.
const CocoBytes = 20_200_000_000

// cocoConnections is over how many connections COCO comes: its server gives each a part of what a line can carry.
const cocoConnections = 8

// FetchCOCO fetches COCO 2014 into the cache folder: train2014 to learn from, val2014 to measure on. Of several
// processes on a machine one fetches.
func FetchCOCO(ctx context.Context, con *console.Console, cacheFolder string, g *dist.Group) (paths coco2014.Paths,
	err error) {
	so, err := store.FromEnvironment(os.Getenv)
	if err != nil {
		return paths, err
	}
	cache, err := features.CacheDir(cacheFolder)
	if err != nil {
		return paths, err
	}
	notice := func(text string) { con.Term.Log.Info(text) }
	so.Notice = notice
	s, err := store.New(so)
	if err != nil {
		return paths, err
	}
	folder := filepath.Join(cache, "coco2014")
	if g.LocalRank() == 0 {
		progress := console.NewTransfer(con.Term, CocoName)
		paths, err = coco2014.Fetch(ctx, s, coco2014.Options{
			Folder: folder, Connections: cocoConnections, Notice: notice,
			Progress: func(done, total int64) {
				g.Advance()
				progress.Set(done, total)
			},
		})
		progress.Finish()
	}
	if errors.Is(err, context.Canceled) {
		con.Term.Log.Warn("interrupted: what has come of COCO stays; the same command goes on from there")
		return paths, console.ErrInterrupted
	}
	if err != nil {
		return paths, err
	}
	if err := g.Wait(ctx, CocoName); err != nil || g.LocalRank() == 0 {
		return paths, err
	}
	return coco2014.Fetch(ctx, s, coco2014.Options{
		Folder: folder, Connections: 1, Notice: notice, Progress: func(int64, int64) {},
	})
}

package published

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

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
	f := &arrival{con: con, start: time.Now(), said: time.Now()}
	so.Notice = f.notice
	s, err := store.New(so)
	if err != nil {
		return paths, err
	}
	folder := filepath.Join(cache, "coco2014")
	if g.LocalRank() == 0 {
		paths, err = coco2014.Fetch(ctx, s, coco2014.Options{
			Folder: folder, Connections: cocoConnections, Notice: f.notice,
			Progress: func(done, total int64) {
				g.Advance()
				f.progress(done, total)
			},
		})
		con.Term.Show(nil)
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
		Folder: folder, Connections: 1, Notice: f.notice, Progress: func(int64, int64) {},
	})
}

// arrival shows how much has come: by a bar where a person watches, else by a line every few seconds.
type arrival struct {
	con *console.Console

	mu    sync.Mutex
	start time.Time
	from  int64
	said  time.Time
	shown bool
}

func (f *arrival) notice(text string) { f.con.Term.Log.Info(text) }

func (f *arrival) progress(done, total int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := time.Now()
	if !f.shown {
		f.shown, f.start, f.from = true, now, done
		if f.con.Term.Live {
			f.con.Term.Show(&console.Bar{About: CocoName, Bytes: true})
		}
	}
	if f.con.Term.Live {
		f.con.Term.Update(done, total, 0)
		return
	}
	if now.Sub(f.said) < 10*time.Second {
		return
	}
	f.said = now
	var s strings.Builder
	fmt.Fprintf(&s, "%s: %s of %s", CocoName, console.Size(done), console.Size(total))
	if rate := float64(done-f.from) / now.Sub(f.start).Seconds(); rate > 0 {
		fmt.Fprintf(&s, ", %s/s, %v left", console.Size(int64(rate)),
			(time.Duration(float64(total-done)/rate) * time.Second).Round(time.Second))
	}
	f.con.Term.Log.Info(s.String())
}

package training

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"strings"

	"captioner/cli/console"
	"captioner/cli/published"
	"captioner/models/checkpoint"
	"captioner/models/train"
	"captioner/torch/dist"
)

// cocoData is what --data calls COCO 2014 by, where there is no file of that name.
const cocoData = "coco2014"

// wantsCOCO takes COCO 2014 where --data names it, or where a recipe or a person at the terminal agrees that there is
// no --data. Nothing large is fetched unasked.
func (o *Options) wantsCOCO(con *console.Console) error {
	if o.Data == cocoData {
		if _, err := os.Stat(o.Data); err == nil {
			return nil
		}
		o.Data = ""
	} else if o.Data != "" {
		return nil
	} else if err := o.agreed(con); err != nil {
		return err
	}
	if o.Val != "" || o.Images != "" || o.ValImages != "" {
		return console.Usagef("", "--val, --images and --val-images need --data of your own: COCO 2014 has its own")
	}
	return nil
}

// agreed asks whether COCO 2014 may be fetched.
func (o *Options) agreed(con *console.Console) error {
	what := []string{fmt.Sprintf("%s (%s)", published.CocoName, console.Size(published.CocoBytes))}
	for _, name := range []string{o.Encoder, o.Init, o.LanguageModel} {
		if size, missing := published.Missing(con, name); missing {
			if size == 0 { // of the hub, which was not asked
				what = append(what, name)
				continue
			}
			what = append(what, fmt.Sprintf("%s (%s)", name, console.Size(size)))
		}
	}
	list := strings.Join(what, " and ")
	if o.Recipe != "" {
		con.Term.Log.Info("without --data, " + o.Recipe + " trains on COCO 2014, as its train.py does; it needs " + list)
		return nil
	}
	refused := console.Usagef("--data FILE takes captions of your own; --data "+cocoData+" fetches that",
		"train: no --data: it would fetch %s", list)
	in, ok := con.Stdin.(*os.File)
	if !ok || !console.IsTerminal(in) || !con.Term.Live {
		return refused
	}
	fmt.Fprintf(con.Term.W, "There is no --data. Fetch %s into the cache folder, and train on that? [y/N] ", list)
	answer, _ := bufio.NewReader(in).ReadString('\n')
	if a := strings.ToLower(strings.TrimSpace(answer)); a != "y" && a != "yes" {
		return refused
	}
	con.Args = append(con.Args, "--data="+cocoData) // for processes that --nproc starts
	return nil
}

// fetch gets what the run needs that is not here. Data of one's own are checked before anything is fetched.
func (o *Options) fetch(ctx context.Context, con *console.Console, g *dist.Group) error {
	names := []struct {
		name *string
		use  checkpoint.Use
	}{{&o.Encoder, checkpoint.AsEncoder}, {&o.Init, checkpoint.AsLearner}, {&o.LanguageModel, checkpoint.AsLanguage}}
	for _, n := range names {
		if _, missing := published.Missing(con, *n.name); missing && o.Data != "" {
			if err := train.CheckData(o.Options); err != nil {
				return err
			}
			break
		}
	}
	for _, n := range names {
		if err := published.Find(ctx, con, n.use, n.name); err != nil {
			return err
		}
	}
	if o.Data != "" {
		return nil
	}
	paths, err := published.FetchCOCO(ctx, con, o.Cache, g)
	if err != nil {
		return err
	}
	o.Data, o.Images, o.Val, o.ValImages = paths.Captions, paths.Images, paths.ValCaptions, paths.ValImages
	return nil
}

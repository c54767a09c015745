package train

type rewarder struct{}

func newRewarder(c corpus) *rewarder { return &rewarder{} }

func (r *rewarder) score(i int, s string, finished bool) float64 { return 0 }

// Package mersenne is the generator MT19937 (Matsumoto and Nishimura 1998), which PyTorch has on a CPU: with its
// numbers, draws that Python made there are made again here.
package mersenne

// A Twister gives the numbers that follow torch.manual_seed. It is for one goroutine.
type Twister struct {
	state [624]uint32
	at    int
}

// New begins with a seed.
func New(seed uint32) *Twister {
	t := &Twister{at: 624}
	t.state[0] = seed
	for i := 1; i < len(t.state); i++ {
		x := t.state[i-1]
		t.state[i] = 1812433253*(x^x>>30) + uint32(i)
	}
	return t
}

// Next is the next 32 bits.
func (t *Twister) Next() uint32 {
	if t.at == len(t.state) {
		for i := range t.state {
			x := t.state[i]&(1<<31) | t.state[(i+1)%624]&(1<<31-1)
			t.state[i] = t.state[(i+397)%624] ^ x>>1 ^ x&1*0x9908b0df
		}
		t.at = 0
	}
	x := t.state[t.at]
	t.at++
	x ^= x >> 11
	x ^= x << 7 & 0x9d2c5680
	x ^= x << 15 & 0xefc60000
	return x ^ x>>18
}

// Float is torch.rand's next float32: 24 bits, from 0 to less than 1.
func (t *Twister) Float() float32 { return float32(t.Next()&(1<<24-1)) / (1 << 24) }

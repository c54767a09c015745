// Gradients summed over all ranks in buckets, which leave as soon as backward has filled them. See dist.h.
#include <ATen/core/grad_mode.h>
#include <ATen/ops/zeros.h>
#include <torch/csrc/autograd/function_hook.h>
#include <torch/csrc/autograd/variable.h>

#include "dist.h"
#include "parts.h"

namespace {

struct Bucket {
  std::vector<Tensor> params, views;  // views are of flat, one a parameter
  std::vector<char> filled;
  Tensor flat;
  int missing = 0;
  Sum sum;
};

struct Buckets {
  Group *group;
  std::vector<Bucket> all;  // in the order in which backward fills them: the last parameters first
  size_t next = 0;          // the first that has not left; all ranks send in the same order
  bool on = false;

  void fill(Bucket &b, size_t i) {
    at::NoGradGuard no;
    b.views[i].copy_(b.params[i].grad());
    b.filled[i] = 1;
    b.missing--;
  }
  void send_ready() {
    while (next < all.size() && all[next].missing == 0) send();
  }
  void send() {
    at::NoGradGuard no;
    all[next].sum = begin_sum(*group, all[next].flat);
    next++;
  }
};

// Filled is called when backward has added a parameter's gradient.
struct Filled : torch::autograd::PostAccumulateGradHook {
  Buckets *owner;
  size_t bucket, index;
  Filled(Buckets *o, size_t b, size_t i) : owner(o), bucket(b), index(i) {}
  void operator()(const Tensor &) override {
    auto &b = owner->all[bucket];
    if (!owner->on || b.filled[index]) return;
    owner->fill(b, index);
    owner->send_ready();
  }
};

void hook(const Tensor &p, std::unique_ptr<torch::autograd::PostAccumulateGradHook> h) {
  torch::autograd::impl::set_post_acc_grad_hooks(p, std::move(h));
}

void close_bucket(Bucket &b) {
  int64_t n = 0;
  for (auto &p : b.params) n += p.numel();
  b.flat = at::zeros({n}, b.params[0].options().requires_grad(false));
  int64_t at = 0;
  for (auto &p : b.params) {
    b.views.push_back(b.flat.narrow(0, at, p.numel()).view(p.sizes()));
    at += p.numel();
  }
  b.filled.resize(b.params.size());
}

}  // namespace

static Buckets &buckets(void *b) { return *static_cast<Buckets *>(b); }

char *cd_buckets_open(void **o, void *g, void **params, int n, int64_t limit) {
  TRY(at::NoGradGuard no; auto bs = std::make_unique<Buckets>(); bs->group = static_cast<Group *>(g); int64_t size = 0, most = limit / 25;
      for (int i = n - 1; i >= 0; i--) {  // the first bucket is small: it leaves early
        auto &p = T(params[i]); int64_t bytes = p.nbytes();
        TORCH_CHECK(p.is_leaf() && p.requires_grad(), "parameter ", i, " wants no gradient");
        bool fresh = bs->all.empty() || (size > 0 && size + bytes > most) || p.scalar_type() != bs->all.back().params[0].scalar_type();
        if (fresh) {
          if (!bs->all.empty()) most = limit;
          bs->all.emplace_back();
          size = 0;
        }
        bs->all.back().params.push_back(p);
        size += bytes;
      }
      for (size_t k = 0; k < bs->all.size(); k++) {
        auto &b = bs->all[k];
        close_bucket(b);
        for (size_t i = 0; i < b.params.size(); i++) hook(b.params[i], std::make_unique<Filled>(bs.get(), k, i));
      }
      *o = bs.release())
}
void cd_buckets_close(void *bp) {
  for (auto &b : buckets(bp).all)
    for (auto &p : b.params) hook(p, nullptr);
  delete static_cast<Buckets *>(bp);
}
int cd_buckets_count(void *b) { return buckets(b).all.size(); }

char *cd_buckets_begin(void *bp) {
  TRY(auto &bs = buckets(bp); bs.next = 0; bs.on = true;
      for (auto &b : bs.all) {
        std::fill(b.filled.begin(), b.filled.end(), 0);
        b.missing = b.params.size();
      })
}

// A parameter that the loss did not reach has no gradient on any rank: zeros travel for it, and it stays without.
char *cd_buckets_finish(void *bp, int *early) {
  TRY(at::NoGradGuard no; auto &bs = buckets(bp); TORCH_CHECK(bs.on, "finish without begin"); bs.on = false; *early = bs.next;
      for (size_t k = bs.next; k < bs.all.size(); k++) {
        auto &b = bs.all[k];
        for (size_t i = 0; i < b.params.size(); i++)
          if (!b.filled[i]) {
            if (b.params[i].grad().defined()) b.views[i].copy_(b.params[i].grad()); else b.views[i].zero_();
          }
        bs.send();
      }
      for (auto &b : bs.all) {
        end_sum(*bs.group, b.sum);
        b.sum = Sum();
        for (size_t i = 0; i < b.params.size(); i++)
          if (b.params[i].grad().defined()) b.params[i].mutable_grad().copy_(b.views[i]);
      })
}

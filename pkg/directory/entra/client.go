package entra

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"

	abstractions "github.com/microsoft/kiota-abstractions-go"
	khttp "github.com/microsoft/kiota-http-go"
	core "github.com/microsoftgraph/msgraph-sdk-go-core"
	"github.com/microsoftgraph/msgraph-sdk-go-core/authentication"

	"github.com/vaultsync/vaultsync/pkg/directory"
)

// Client is one tenant. It is safe for use by several goroutines, which share
// its sign-in, its throttle and its connections.
type Client struct {
	options  Options
	base     base
	scope    string
	adapter  *core.GraphRequestAdapterBase
	signIn   *signIn
	throttle throttle
	requests atomic.Uint64
	close    func()
	log      *slog.Logger
}

var _ directory.Directory = (*Client)(nil)

// New makes a client from checked settings; it makes no request and reads no
// secret. Its errors are of the configuration.
func New(o Options) (*Client, error) {
	o = o.withDefaults()
	if err := o.check(); err != nil {
		return nil, fmt.Errorf("directory: %w", err)
	}
	e, err := o.endpoints()
	if err != nil {
		return nil, fmt.Errorf("directory: %w", err)
	}
	network := o.Transport
	closeIdle := func() {}
	if network == nil {
		transport, err := newTransport(o)
		if err != nil {
			return nil, fmt.Errorf("directory: %w", err)
		}
		network, closeIdle = transport, transport.CloseIdleConnections
	}
	signInNetwork := network
	if o.Credential.Type == ManagedIdentity && o.Transport == nil {
		// The endpoint is on this machine; no proxy may stand between.
		local, err := newTransport(o)
		if err != nil {
			return nil, fmt.Errorf("directory: %w", err)
		}
		local.Proxy = nil
		signInNetwork = local
		closeGraph := closeIdle
		closeIdle = func() { closeGraph(); local.CloseIdleConnections() }
	}
	c := &Client{
		options:  o,
		base:     e.graph,
		scope:    e.scope,
		signIn:   newSignIn(o, e, signInNetwork),
		throttle: throttle{backoff: o.Backoff},
		close:    closeIdle,
		log:      o.Logger,
	}
	if c.adapter, err = c.newAdapter(e, network); err != nil {
		return nil, fmt.Errorf("directory: %w", err)
	}
	return c, nil
}

// newAdapter puts the SDK together: its sign-in, its adapter and its
// middleware without those parts that retry, redirect and compress requests.
func (c *Client) newAdapter(e endpoints, network http.RoundTripper) (*core.GraphRequestAdapterBase, error) {
	host, err := url.Parse(e.graph.origin())
	if err != nil {
		return nil, err
	}
	provider, err := authentication.NewAzureIdentityAuthenticationProviderWithScopesAndValidHosts(
		c.signIn, []string{e.scope}, []string{host.Hostname()})
	if err != nil {
		return nil, err
	}
	var options core.GraphClientOptions
	var middleware []khttp.Middleware
	for _, m := range core.GetDefaultMiddlewaresWithOptions(&options) {
		switch m.(type) {
		case *khttp.RetryHandler, *khttp.RedirectHandler, *khttp.CompressionHandler:
			// Retries and redirects are decided here; some servers between do
			// not take compressed requests.
		default:
			middleware = append(middleware, m)
		}
	}
	wire := &guard{
		allow: func(u *url.URL) error {
			if c.base.covers(u) {
				return nil
			}
			return c.base.refusal(u)
		},
		next:          network,
		headerTimeout: c.options.HeaderTimeout,
		idle:          c.options.IdleBody,
		maxBody:       c.options.MaxPage,
		requests:      &c.requests,
	}
	client := &http.Client{
		Transport:     khttp.NewCustomTransportWithParentTransport(wire, middleware...),
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		// No Timeout: it would end long downloads; the guard bounds the waits.
	}
	adapter, err := core.NewGraphRequestAdapterBaseWithParseNodeFactoryAndSerializationWriterFactoryAndHttpClient(
		provider, options, nil, nil, client)
	if err != nil {
		return nil, err
	}
	adapter.SetBaseUrl(e.graph.String())
	return adapter, nil
}

// Close lets go of idle connections.
func (c *Client) Close() { c.close() }

// Requests counts the HTTP requests made to Graph, retries included; those to
// the sign-in service are not among them.
func (c *Client) Requests() uint64 { return c.requests.Load() }

// Throttled is since when the directory refuses requests, and when it may be
// asked again. The first is zero when it does not, the second when that is now.
func (c *Client) Throttled() (since, until time.Time) { return c.throttle.state() }

// send makes one request through the SDK and hands over the reply, its body
// unread. The caller closes it.
func (c *Client) send(ctx context.Context, info *abstractions.RequestInformation) (*http.Response, error) {
	var reply *http.Response
	handler := abstractions.NewRequestHandlerOption()
	handler.SetResponseHandler(func(response any, _ abstractions.ErrorMappings) (any, error) {
		got, ok := response.(*http.Response)
		if !ok || got == nil {
			return nil, protocol("the SDK handed over no reply")
		}
		reply = got
		return nil, nil
	})
	info.AddRequestOptions([]abstractions.RequestOption{handler})
	_, err := c.adapter.SendPrimitive(ctx, info, "[]byte", nil)
	if err != nil {
		if ctx.Err() != nil {
			return nil, ended(ctx)
		}
		if own, ok := errors.AsType[*Error](err); ok {
			return nil, own
		}
		e := unreachable("the directory", err)
		e.wide = true
		return nil, e
	}
	if reply == nil {
		return nil, protocol("there was no reply")
	}
	return reply, nil
}

// headerTimeout bounds the wait for one head by what patience is left, but
// leaves a healthy directory time to answer.
func (c *Client) headerTimeout(left time.Duration) time.Duration {
	return min(c.options.HeaderTimeout, max(left, c.options.HeaderTimeout/12))
}

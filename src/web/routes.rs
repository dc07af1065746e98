//! The route registry: a route cannot be added without a policy, and the registry applies it.

use super::error::{self, Error};
use super::principal::Principal;
use super::{AppState, Role, beside, cross_site, file_tokens, headers, unknown_keys};
use crate::api;
use crate::store::tokens::TokenScope;
use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::handler::Handler;
use axum::http::{Method, StatusCode, header};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{MethodRouter, get, patch, post, put};
use std::convert::Infallible;
use std::time::Duration;
use tower_http::limit::RequestBodyLimitLayer;
use tower_http::timeout::TimeoutLayer;

/// Forms and API bodies.
const BODY_BYTES_MAX: usize = 1 << 20;
/// Forms that anyone may send: a login, two passwords of 1,024 bytes, where to go then.
const PUBLIC_FORM_BYTES_MAX: usize = 16 << 10;
/// A handler that takes longer than this holds a connection that others wait for.
const HANDLER_TIMEOUT: Duration = Duration::from_secs(30);

/// Who may use a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Policy {
    /// Anyone, signed in or not.
    Public,
    /// Any signed-in person; the page shows no money.
    SignedIn,
    /// Money within the person's [`crate::store::Scope`]: viewer, member, finance.
    Money,
    /// Money of the whole organisation: viewer, finance.
    OrganisationMoney,
    /// Those who answer for money: member, finance. They may write what they think of it.
    Review,
    /// Finance.
    Finance,
    /// Finance and administrators: bills, sources, receipts.
    Bills,
    /// Administrators.
    Admin,
}

impl Policy {
    /// Whether this person may use the route.
    pub fn allows(self, principal: &Principal) -> bool {
        match self {
            Self::Public | Self::SignedIn => true,
            Self::Money => principal.role != Role::Admin || principal.also_finance,
            Self::OrganisationMoney => principal.scope().is_everything(),
            Self::Review => principal.role == Role::Member || principal.is_finance(),
            Self::Finance => principal.is_finance(),
            Self::Bills => principal.is_finance() || principal.is_admin(),
            Self::Admin => principal.is_admin(),
        }
    }
}

/// Who may use a route of the API: a token of this scope whose owner the policy allows. A GET of read scope
/// also takes a signed-in person whom the policy allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ApiPolicy {
    /// What the token must be for.
    pub scope: TokenScope,
    /// What its owner must be.
    pub policy: Policy,
}

impl ApiPolicy {
    /// Reading.
    pub const fn read(policy: Policy) -> Self {
        Self { scope: TokenScope::Read, policy }
    }

    /// Sending in deployments or bills.
    pub const fn ingest(policy: Policy) -> Self {
        Self { scope: TokenScope::Ingest, policy }
    }

    /// Changing catalogue, rules, settings.
    pub const fn admin(policy: Policy) -> Self {
        Self { scope: TokenScope::Admin, policy }
    }
}

/// A route as the test of every route against every role sees it.
#[derive(Debug, Clone)]
pub struct RouteEntry {
    /// `GET`, `POST`, `PATCH`.
    pub method: &'static str,
    /// With parameters as axum writes them.
    pub path: &'static str,
    /// Who may use it.
    pub policy: Policy,
    /// For the API: what a token must be for.
    pub token_scope: Option<TokenScope>,
}

/// Routes under construction. Each names who may use it:
///
/// ```
/// use costwake::web::{AppState, Policy, Routes};
///
/// fn routes(app: AppState) -> Routes {
///     Routes::new(app).get("/hello", Policy::SignedIn, || async { "hello" })
/// }
/// ```
///
/// One that does not is no program:
///
/// ```compile_fail,E0061
/// use costwake::web::{AppState, Policy, Routes};
///
/// fn routes(app: AppState) -> Routes {
///     Routes::new(app).get("/hello", || async { "hello" })
/// }
/// ```
///
/// And there is no way past the registry:
///
/// ```compile_fail,E0616
/// use axum::routing::get;
/// use costwake::web::{AppState, Policy, Routes};
///
/// fn routes(app: AppState) -> Routes {
///     let mut routes = Routes::new(app);
///     routes.router = routes.router.route("/hello", get(|| async { "hello" }));
///     routes
/// }
/// ```
pub struct Routes {
    app: AppState,
    router: Router<AppState>,
    webhooks: Router<AppState>,
    entries: Vec<RouteEntry>,
}

impl Routes {
    /// No routes yet.
    pub fn new(app: AppState) -> Self {
        Self { app, router: Router::new(), webhooks: Router::new(), entries: Vec::new() }
    }

    /// Adds a page that changes nothing. Its files take a token of read scope too, whose owner the policy allows.
    pub fn get<H: Handler<T, AppState>, T: 'static>(self, path: &'static str, policy: Policy, handler: H) -> Self {
        self.page("GET", path, policy, limited(get(handler), BODY_BYTES_MAX))
    }

    /// Adds an action of a page: a form, at most 1 MiB, and 16 KiB where anyone may send it.
    pub fn post<H: Handler<T, AppState>, T: 'static>(self, path: &'static str, policy: Policy, handler: H) -> Self {
        let bytes_max = if policy == Policy::Public { PUBLIC_FORM_BYTES_MAX } else { BODY_BYTES_MAX };
        self.page("POST", path, policy, limited(post(handler), bytes_max))
    }

    /// Adds an action that takes a file: up to `bytes_max`, for as long as it keeps coming. The handler must
    /// stream.
    pub fn post_upload<H: Handler<T, AppState>, T: 'static>(
        self,
        path: &'static str,
        policy: Policy,
        bytes_max: usize,
        handler: H,
    ) -> Self {
        self.page("POST", path, policy, sized(post(handler), bytes_max))
    }

    /// Adds a file that is the same for everyone, or the process's own health: nobody is looked up.
    pub fn public_asset<H: Handler<T, AppState>, T: 'static>(self, path: &'static str, handler: H) -> Self {
        self.push("GET", path, Policy::Public, None, limited(get(handler), BODY_BYTES_MAX))
    }

    /// Adds a place that other systems post to. The handler checks the signature over the raw body, which it reads
    /// itself once it knows the sender, and no more of it than it has room for; a browser's cookie counts for nothing
    /// here.
    pub fn webhook<H: Handler<T, AppState>, T: 'static>(mut self, path: &'static str, handler: H) -> Self {
        let route = headers::wrap_webhook(post(handler).fallback(wrong_method), &self.app, time_limit());
        self.webhooks = self.webhooks.route(path, route);
        self.entries.push(RouteEntry { method: "POST", path, policy: Policy::Public, token_scope: None });
        self
    }

    /// Adds a question to the API.
    pub fn api_get<H: Handler<T, AppState>, T: 'static>(self, path: &'static str, who: ApiPolicy, handler: H) -> Self {
        self.api("GET", path, who, limited(get(handler), BODY_BYTES_MAX))
    }

    /// Adds a change to the API.
    pub fn api_post<H: Handler<T, AppState>, T: 'static>(self, path: &'static str, who: ApiPolicy, handler: H) -> Self {
        self.api("POST", path, who, limited(post(handler), BODY_BYTES_MAX))
    }

    /// Adds a change to the API whose body has up to `bytes_max`.
    pub fn api_post_sized<H: Handler<T, AppState>, T: 'static>(
        self,
        path: &'static str,
        who: ApiPolicy,
        bytes_max: usize,
        handler: H,
    ) -> Self {
        self.api("POST", path, who, limited(post(handler), bytes_max))
    }

    /// Adds to the API what is put in a place as a whole.
    pub fn api_put<H: Handler<T, AppState>, T: 'static>(self, path: &'static str, who: ApiPolicy, handler: H) -> Self {
        self.api("PUT", path, who, limited(put(handler), BODY_BYTES_MAX))
    }

    /// Adds a place of the API that takes a file: up to `bytes_max`, for as long as it keeps coming. The handler must
    /// stream.
    pub fn api_put_upload<H: Handler<T, AppState>, T: 'static>(
        self,
        path: &'static str,
        who: ApiPolicy,
        bytes_max: usize,
        handler: H,
    ) -> Self {
        self.api("PUT", path, who, sized(put(handler), bytes_max))
    }

    /// Adds a partial change to the API.
    pub fn api_patch<H: Handler<T, AppState>, T: 'static>(
        self,
        path: &'static str,
        who: ApiPolicy,
        handler: H,
    ) -> Self {
        self.api("PATCH", path, who, limited(patch(handler), BODY_BYTES_MAX))
    }

    /// Adds a removal to the API.
    pub fn api_delete<H: Handler<T, AppState>, T: 'static>(
        self,
        path: &'static str,
        who: ApiPolicy,
        handler: H,
    ) -> Self {
        self.api("DELETE", path, who, limited(axum::routing::delete(handler), BODY_BYTES_MAX))
    }

    fn page(self, method: &'static str, path: &'static str, policy: Policy, route: MethodRouter<AppState>) -> Self {
        let guarded = route
            .layer::<_, Infallible>(from_fn_with_state((self.app.clone(), policy), authorize))
            .layer::<_, Infallible>(cross_site::layer(self.app.config.public_url.as_deref()))
            .layer(from_fn(dress_page));
        self.push(method, path, policy, None, guarded)
    }

    fn api(self, method: &'static str, path: &'static str, who: ApiPolicy, route: MethodRouter<AppState>) -> Self {
        let guarded = route
            .layer(from_fn_with_state((self.app.clone(), who, method, path), authorize_api))
            .layer(from_fn(dress_api));
        self.push(method, path, who.policy, Some(who.scope), guarded)
    }

    fn push(
        mut self,
        method: &'static str,
        path: &'static str,
        policy: Policy,
        token_scope: Option<TokenScope>,
        route: MethodRouter<AppState>,
    ) -> Self {
        self.router = self.router.route(path, route);
        self.entries.push(RouteEntry { method, path, policy, token_scope });
        self
    }

    /// What was added.
    pub fn entries(&self) -> &[RouteEntry] {
        &self.entries
    }

    /// What the handlers reach.
    pub fn app(&self) -> &AppState {
        &self.app
    }

    /// The router of pages, API and files; and that of webhooks, which is finished.
    pub fn into_routers(self) -> (Router, Router) {
        let router = self.router.fallback(unknown_path).method_not_allowed_fallback(wrong_method);
        (router.with_state(self.app.clone()), self.webhooks.with_state(self.app))
    }
}

fn limited(route: MethodRouter<AppState>, bytes_max: usize) -> MethodRouter<AppState> {
    route.layer::<_, Infallible>((time_limit(), size_limit(bytes_max)))
}

fn sized(route: MethodRouter<AppState>, bytes_max: usize) -> MethodRouter<AppState> {
    route.layer::<_, Infallible>(size_limit(bytes_max))
}

fn time_limit() -> TimeoutLayer {
    TimeoutLayer::with_status_code(StatusCode::SERVICE_UNAVAILABLE, HANDLER_TIMEOUT)
}

// The limit holds for every way of reading the body, not only for axum's extractors.
fn size_limit(bytes_max: usize) -> (RequestBodyLimitLayer, DefaultBodyLimit) {
    (RequestBodyLimitLayer::new(bytes_max), DefaultBodyLimit::disable())
}

async fn authorize(
    State((app, policy)): State<(AppState, Policy)>,
    mut request: Request,
    next: Next,
) -> Result<Response, Error> {
    if !cross_site::names_its_site(request.method(), request.headers()) {
        return Err(Error::OtherSite);
    }
    let principal = super::session::authenticate(&app, request.headers()).await;
    if policy == Policy::Public {
        // A public page is shown even while the database is away.
        if let Ok(Some(principal)) = principal {
            request.extensions_mut().insert(principal);
        }
        return Ok(next.run(request).await);
    }
    let Some(principal) = principal? else {
        return Ok(match file_tokens::is_of_program(&request) {
            true => file_tokens::answer(&app, policy, request, next).await,
            false => to_sign_in(&request),
        });
    };
    if !policy.allows(&principal) {
        return Err(Error::Forbidden);
    }
    request.extensions_mut().insert(principal);
    Ok(next.run(request).await)
}

// After signing in the reader is where they wanted to be; what a form would have done is not repeated.
fn to_sign_in(request: &Request) -> Response {
    let asked = request.extensions().get::<beside::Asked>().map(|asked| asked.0.as_str());
    let wanted = asked.or(request.uri().path_and_query().map(|path| path.as_str())).unwrap_or("/");
    if request.method() != Method::GET || wanted == "/" {
        return Redirect::to("/sign-in").into_response();
    }
    let query = serde_urlencoded::to_string([("return_to", wanted)]).unwrap_or_default();
    Redirect::to(&format!("/sign-in?{query}")).into_response()
}

async fn authorize_api(
    State((app, who, method, path)): State<(AppState, ApiPolicy, &'static str, &'static str)>,
    mut request: Request,
    next: Next,
) -> Result<Response, api::Error> {
    let principal = if request.headers().contains_key(header::AUTHORIZATION) {
        super::session::authenticate_token(&app, request.headers(), who.scope).await?
    } else if request.method().is_safe() && who.scope == TokenScope::Read {
        super::session::authenticate(&app, request.headers()).await?.ok_or(api::Error::NoToken)?
    } else {
        return Err(api::Error::NoToken);
    };
    if !who.policy.allows(&principal) {
        return Err(Error::Forbidden.into());
    }
    if let Some(fault) = api::parameters::fault(method, path, request.uri().query()) {
        return Err(Error::Invalid(fault).into());
    }
    request.extensions_mut().insert(principal);
    Ok(next.run(request).await)
}

async fn unknown_path(request: Request) -> Response {
    if is_api(&request) { api::Error::from(Error::NotFound).into_response() } else { Error::NotFound.into_response() }
}

async fn wrong_method(request: Request) -> Response {
    let response = StatusCode::METHOD_NOT_ALLOWED.into_response();
    if is_api(&request) { error::as_json(response).await } else { error::as_page(response).await }
}

fn is_api(request: &Request) -> bool {
    ["/api/", "/v1/", "/webhooks/"].iter().any(|prefix| request.uri().path().starts_with(prefix))
}

async fn dress_page(request: Request, next: Next) -> Response {
    let query = request.uri().query().map(str::to_owned);
    error::as_page(unknown_keys::with_query(query.as_deref(), next.run(request)).await).await
}

async fn dress_api(request: Request, next: Next) -> Response {
    error::as_json(next.run(request).await).await
}

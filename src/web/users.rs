//! `/settings/users`: who may sign in, and what they may do.

use super::account_changes::{self, By, Grant, role_name};
use super::csv::{Cell, Table};
use super::paged_file::note_limit;
use super::{AppState, ClientAddress, Error, NavItem, Page, Policy, Principal, Result, Routes, moments, welcome};
use crate::store::Role;
use crate::store::accounts::{self, Account, TeamChoice};
use askama::Template;
use askama_web::WebTemplate;
use axum::Form;
use axum::extract::{Path, State};
use axum::response::{Redirect, Response};
use sqlx::PgConnection;

/// The routes of this file.
pub fn routes(routes: Routes) -> Routes {
    routes
        .get("/settings/users", Policy::Admin, list)
        .get("/settings/users.csv", Policy::Admin, export)
        .post("/settings/users", Policy::Admin, add)
        .get("/settings/users/{user_id}", Policy::Admin, show)
        .post("/settings/users/{user_id}", Policy::Admin, change)
        .post("/settings/users/{user_id}/disable", Policy::Admin, disable)
        .post("/settings/users/{user_id}/enable", Policy::Admin, enable)
        .post("/settings/users/{user_id}/link", Policy::Admin, new_link)
}

/// What a role is for, as the forms offer it.
pub struct RoleChoice {
    value: &'static str,
    label: &'static str,
    is_chosen: bool,
}

const ROLES: [(&str, &str); 5] = [
    ("viewer", "Viewer: all services and organization totals"),
    ("member", "Member: money of own teams, everyone's deployments"),
    ("finance", "Finance: all money, uploads, rules"),
    ("admin", "Administrator: users, tokens, sources; no money"),
    ("admin with finance", "Administrator with finance"),
];

fn role_choices(chosen: &str) -> Vec<RoleChoice> {
    ROLES.iter().map(|(value, label)| RoleChoice { value, label, is_chosen: *value == chosen }).collect()
}

/// The words of the command line and the forms.
pub fn parse_role(text: &str) -> Option<(Role, bool)> {
    Some(match text {
        "viewer" => (Role::Viewer, false),
        "member" => (Role::Member, false),
        "finance" => (Role::Finance, false),
        "admin" => (Role::Admin, false),
        "admin with finance" => (Role::Admin, true),
        _ => return None,
    })
}

struct Row {
    account: Account,
    role: &'static str,
    teams: String,
    state: &'static str,
}

impl Row {
    fn new(account: Account, teams: &[TeamChoice]) -> Self {
        let is_own = |team: &&TeamChoice| account.team_ids.contains(&team.team_id);
        let names: Vec<&str> = teams.iter().filter(is_own).map(|team| team.name.as_str()).collect();
        let state = match &account {
            Account { disabled_at: Some(_), .. } => "disabled",
            Account { has_password: false, .. } => "invited",
            _ => "active",
        };
        Self { role: role_name(account.role, account.also_finance), teams: names.join(", "), state, account }
    }
}

#[derive(Template, WebTemplate)]
#[template(path = "users.html")]
struct UsersPage {
    page: Page,
    rows: Vec<Row>,
    roles: Vec<RoleChoice>,
    teams: Vec<(TeamChoice, bool)>,
}

async fn list(State(app): State<AppState>, principal: Principal) -> Result<UsersPage> {
    let mut snapshot = app.pools.snapshot().await?;
    let (rows, teams) = people(&mut snapshot).await?;
    let page = Page::new(&app, &principal, &mut snapshot, "Users", NavItem::Users).await?;
    let teams = teams.into_iter().map(|team| (team, false)).collect();
    Ok(UsersPage { page, rows, roles: role_choices("viewer"), teams })
}

/// Everyone, and the teams that people can be in.
async fn people(conn: &mut PgConnection) -> Result<(Vec<Row>, Vec<TeamChoice>)> {
    let teams = accounts::team_choices(&mut *conn).await?;
    let accounts = accounts::list(conn).await?;
    Ok((accounts.into_iter().map(|account| Row::new(account, &teams)).collect(), teams))
}

/// What the page shows of people: nothing that anyone signs in with but the login.
async fn export(State(app): State<AppState>) -> Result<Response> {
    let mut snapshot = app.pools.snapshot().await?;
    let (rows, _) = people(&mut snapshot).await?;
    let mut table = Table::new(&["Login", "Name", "Role", "Teams", "State", "LastSignIn"]);
    for row in &rows {
        table.row(&[
            Cell::from(&row.account.login),
            (&row.account.display_name).into(),
            row.role.into(),
            (&row.teams).into(),
            row.state.into(),
            row.account.last_signed_in_at.as_ref().map_or(Cell::Empty, |at| moments::machine(at).into()),
        ]);
    }
    note_limit(&mut table, rows.len(), accounts::ACCOUNTS_MAX, "those whose logins come later are missing");
    Ok(table.into_response("users.csv"))
}

#[derive(Template, WebTemplate)]
#[template(path = "user.html")]
struct UserPage {
    page: Page,
    row: Row,
    roles: Vec<RoleChoice>,
    teams: Vec<(TeamChoice, bool)>,
}

async fn show(State(app): State<AppState>, principal: Principal, Path(user_id): Path<i64>) -> Result<UserPage> {
    let mut snapshot = app.pools.snapshot().await?;
    let account = accounts::get(&mut snapshot, user_id).await?.ok_or(Error::NotFound)?;
    let teams = accounts::team_choices(&mut snapshot).await?;
    let title = format!("{} · Users", account.login);
    let page = Page::new(&app, &principal, &mut snapshot, title, NavItem::Users).await?;
    let row = Row::new(account, &teams);
    let is_in = |team: &TeamChoice| row.account.team_ids.contains(&team.team_id);
    let teams = teams.into_iter().map(|team| (team.clone(), is_in(&team))).collect();
    Ok(UserPage { page, roles: role_choices(row.role), teams, row })
}

#[derive(Template, WebTemplate)]
#[template(path = "user_link.html")]
struct LinkPage {
    page: Page,
    user_id: i64,
    login: String,
    link: String,
    ends: String,
}

// A form whose check boxes repeat a name.
type Fields = Form<Vec<(String, String)>>;

fn field<'a>(form: &'a Fields, name: &str) -> &'a str {
    form.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value)
}

fn grant(form: &Fields) -> Result<Grant> {
    let role = parse_role(field(form, "role"));
    let (role, also_finance) =
        role.ok_or_else(|| Error::Invalid("role: choose viewer, member, finance or admin.".into()))?;
    let chosen = form.iter().filter(|(key, _)| key == "team_id").map(|(_, value)| value.parse());
    let team_ids: Result<Vec<i64>, _> = chosen.collect();
    let mut team_ids = team_ids.map_err(|_| Error::Invalid("team_id: choose teams from the list.".into()))?;
    team_ids.sort_unstable();
    team_ids.dedup();
    Ok(Grant { role, also_finance, team_ids })
}

/// Who makes the change of a request.
pub(super) fn by(app: &AppState, principal: &Principal, address: ClientAddress) -> By {
    By { actor: principal.login.clone(), address: address.to_string(), now: app.now() }
}

async fn add(
    State(app): State<AppState>,
    principal: Principal,
    address: ClientAddress,
    form: Fields,
) -> Result<LinkPage> {
    let (by, grant) = (by(&app, &principal, address), grant(&form)?);
    let (login, name) = (field(&form, "login").to_owned(), field(&form, "display_name").to_owned());
    let pools = app.pools.clone();
    let (user_id, path) = super::detached(async move {
        let mut conn = pools.web.acquire().await?;
        account_changes::add(&mut conn, &by, &login, &name, grant).await
    })
    .await?;
    link_page(&app, &principal, user_id, &path).await
}

async fn new_link(
    State(app): State<AppState>,
    principal: Principal,
    address: ClientAddress,
    Path(user_id): Path<i64>,
) -> Result<LinkPage> {
    let (by, pools) = (by(&app, &principal, address), app.pools.clone());
    let path = super::detached(async move {
        let mut conn = pools.web.acquire().await?;
        account_changes::make_link(&mut conn, &by, user_id).await
    })
    .await?;
    link_page(&app, &principal, user_id, &path).await
}

// The answer to the form itself: the link is nowhere else and cannot be shown again.
async fn link_page(app: &AppState, principal: &Principal, user_id: i64, path: &str) -> Result<LinkPage> {
    let mut snapshot = app.pools.snapshot().await?;
    let account = accounts::get(&mut snapshot, user_id).await?.ok_or(Error::NotFound)?;
    let page = Page::new(app, principal, &mut snapshot, "Sign-in link", NavItem::Users).await?;
    Ok(LinkPage {
        page,
        user_id,
        login: account.login,
        link: welcome::address_of(&app.config, path),
        ends: moments::moment(&(app.now() + welcome::INVITATION_LIFETIME)),
    })
}

async fn change(
    State(app): State<AppState>,
    principal: Principal,
    address: ClientAddress,
    Path(user_id): Path<i64>,
    form: Fields,
) -> Result<Redirect> {
    let (by, grant) = (by(&app, &principal, address), grant(&form)?);
    super::detached(async move {
        let mut conn = app.pools.web.acquire().await?;
        account_changes::change_grant(&mut conn, &by, user_id, grant).await
    })
    .await?;
    Ok(Redirect::to(&format!("/settings/users/{user_id}")))
}

async fn disable(
    app: State<AppState>,
    principal: Principal,
    address: ClientAddress,
    user_id: Path<i64>,
) -> Result<Redirect> {
    set_disabled(app, principal, address, user_id, true).await
}

async fn enable(
    app: State<AppState>,
    principal: Principal,
    address: ClientAddress,
    user_id: Path<i64>,
) -> Result<Redirect> {
    set_disabled(app, principal, address, user_id, false).await
}

async fn set_disabled(
    State(app): State<AppState>,
    principal: Principal,
    address: ClientAddress,
    Path(user_id): Path<i64>,
    disabled: bool,
) -> Result<Redirect> {
    let by = by(&app, &principal, address);
    super::detached(async move {
        let mut conn = app.pools.web.acquire().await?;
        account_changes::set_disabled(&mut conn, &by, user_id, disabled).await
    })
    .await?;
    Ok(Redirect::to(&format!("/settings/users/{user_id}")))
}

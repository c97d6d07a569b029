//! What a request asks for, from its method and path.

use hyper::Method;

use crate::store::{Index, Kind, Place};

/// What is asked for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Route {
    Version,
    Lease(Index),
    Allocate(Index),
    Write(Place),
    Abort(Place),
    Shares(Kind, Index),
    Read(Kind, Place),
    Corrupt(Kind, Place),
    Change(Index),
    /// Ours, and only on streams.
    Account,
}

/// Why it is nothing.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Lost {
    NotFound,
    /// With those that would do.
    Method(&'static str),
}

impl Route {
    /// Reads method and path.
    pub(crate) fn find(method: &Method, path: &str) -> Result<Self, Lost> {
        let mut parts = [""; 6];
        let mut count = 0;
        for part in path.strip_prefix('/').ok_or(Lost::NotFound)?.split('/') {
            *parts.get_mut(count).ok_or(Lost::NotFound)? = part;
            count += 1;
        }
        let parts = parts.get(..count).unwrap_or_default();
        let index = |text: &str| Index::parse(text).ok_or(Lost::NotFound);
        let only = |right: Method, name: &'static str, route: Self| {
            (*method == right)
                .then_some(route)
                .ok_or(Lost::Method(name))
        };
        match *parts {
            ["guifi", "v1", "account"] => only(Method::GET, "GET", Self::Account),
            ["storage", "v1", "version"] => only(Method::GET, "GET", Self::Version),
            ["storage", "v1", "lease", si] => only(Method::PUT, "PUT", Self::Lease(index(si)?)),
            ["storage", "v1", "immutable", si] => {
                only(Method::POST, "POST", Self::Allocate(index(si)?))
            }
            ["storage", "v1", "mutable", si, "read-test-write"] => {
                only(Method::POST, "POST", Self::Change(index(si)?))
            }
            ["storage", "v1", kind, si, "shares"] => only(
                Method::GET,
                "GET",
                Self::Shares(read_kind(kind)?, index(si)?),
            ),
            ["storage", "v1", kind, si, number] => {
                let (kind, place) = (read_kind(kind)?, place(si, number)?);
                match (kind, method) {
                    (_, &Method::GET) => Ok(Self::Read(kind, place)),
                    (Kind::Immutable, &Method::PATCH) => Ok(Self::Write(place)),
                    (Kind::Immutable, _) => Err(Lost::Method("GET, PATCH")),
                    (Kind::Mutable, _) => Err(Lost::Method("GET")),
                }
            }
            ["storage", "v1", "immutable", si, number, "abort"] => {
                only(Method::PUT, "PUT", Self::Abort(place(si, number)?))
            }
            ["storage", "v1", kind, si, number, "corrupt"] => {
                let route = Self::Corrupt(read_kind(kind)?, place(si, number)?);
                only(Method::POST, "POST", route)
            }
            _ => Err(Lost::NotFound),
        }
    }
}

fn read_kind(text: &str) -> Result<Kind, Lost> {
    match text {
        "immutable" => Ok(Kind::Immutable),
        "mutable" => Ok(Kind::Mutable),
        _ => Err(Lost::NotFound),
    }
}

fn place(index: &str, number: &str) -> Result<Place, Lost> {
    let digits = number.bytes().all(|byte| byte.is_ascii_digit());
    let number = number.parse().ok().filter(|_| digits);
    let index = Index::parse(index);
    index
        .zip(number)
        .map(|(index, number)| Place { index, number })
        .ok_or(Lost::NotFound)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn every_row_has_its_route_and_nothing_else() {
        let si = "a7u7nte5ywgm6puqf6ozv2vvme";
        let index = Index::parse(si).unwrap();
        let place = Place { index, number: 7 };
        let find = |method: Method, path: &str| Route::find(&method, &path.replace("SI", si));
        for (method, path, route) in [
            (Method::GET, "/storage/v1/version", Route::Version),
            (Method::PUT, "/storage/v1/lease/SI", Route::Lease(index)),
            (
                Method::POST,
                "/storage/v1/immutable/SI",
                Route::Allocate(index),
            ),
            (
                Method::PATCH,
                "/storage/v1/immutable/SI/7",
                Route::Write(place),
            ),
            (
                Method::PUT,
                "/storage/v1/immutable/SI/7/abort",
                Route::Abort(place),
            ),
            (
                Method::GET,
                "/storage/v1/mutable/SI/shares",
                Route::Shares(Kind::Mutable, index),
            ),
            (
                Method::GET,
                "/storage/v1/immutable/SI/7",
                Route::Read(Kind::Immutable, place),
            ),
            (
                Method::POST,
                "/storage/v1/mutable/SI/7/corrupt",
                Route::Corrupt(Kind::Mutable, place),
            ),
            (
                Method::POST,
                "/storage/v1/mutable/SI/read-test-write",
                Route::Change(index),
            ),
        ] {
            assert_eq!(find(method, path), Ok(route), "{path}");
            assert!(
                matches!(find(Method::DELETE, path), Err(Lost::Method(_))),
                "{path}"
            );
        }
        for path in [
            "",
            "/",
            "storage/v1/version",
            "/storage/v1/version/",
            "/storage/v2/version",
            "/storage/v1/immutable/SI/256",
            "/storage/v1/immutable/SI/+7",
            "/storage/v1/immutable/SI/",
            "/storage/v1/immutable/xSI/7",
            "/storage/v1/other/SI/shares",
            "/storage/v1/mutable/SI/7/abort",
            "/storage/v1/immutable/SI/7/corrupt/more/and/more",
        ] {
            assert_eq!(find(Method::GET, path), Err(Lost::NotFound), "{path}");
        }
    }
}

//! `export!`: the one line that makes a module out of a plugin.

/// Makes a kube-scheduler plugin out of a type: `export!(TYPE: POINT, POINT…)`.
///
/// The points are the names of the traits that the host shall call: [`Filter`](crate::Filter),
/// [`Score`](crate::Score), [`PreFilter`](crate::PreFilter), [`PreScore`](crate::PreScore),
/// [`EnqueueExtensions`](crate::EnqueueExtensions), [`PostFilter`](crate::PostFilter),
/// [`PreFilterExtensions`](crate::PreFilterExtensions), and those of [`binding`](crate::binding), which come
/// with a warning. A point that is not listed is not exported and costs nothing. The extension loads only
/// modules that export one of Filter, Score, Reserve, Permit and Bind, so the list must hold one of those.
///
/// A module that is not pure is told when a scheduling cycle begins (`prefilter` is exported for that, listed
/// or not), which is what [`CycleState`](crate::CycleState) goes by.
///
/// With `pure` in front the module declares that a verdict depends on the settings, the pod and the node
/// alone: the plugin keeps nothing between calls and asks the host for nothing else. A host may then
/// remember verdicts. The type must be `Sync`, which refuses the usual ways to keep something (`Cell`,
/// `RefCell`); the host checks the imports of the module on top.
///
/// ```
/// # #![no_std]
/// use kube_scheduler_guest::{export, Filter, Node, Pod, Status};
///
/// #[derive(Default)]
/// struct NotOnSpot;
///
/// impl Filter for NotOnSpot {
///     fn filter(&self, _: &Pod, node: &Node) -> Status {
///         match node.labels().get("lifecycle") {
///             Some("spot") => Status::unresolvable("node(s) were spot instances"),
///             _ => Status::success(),
///         }
///     }
/// }
///
/// export!(pure NotOnSpot: Filter);
/// # fn main() {}
/// ```
///
/// A name that is no point does not compile, and neither does `NormalizeScore`: the extension hands its
/// scores back in random order. Return 0 to 100 from `score` instead.
///
/// ```compile_fail
/// # #[derive(Default)]
/// # struct MyPlugin;
/// kube_scheduler_guest::export!(MyPlugin: NormalizeScore);
/// ```
#[macro_export]
macro_rules! export {
    (pure $plugin:ty : $($point:ident),+ $(,)?) => {
        const _: fn() = || {
            fn keeps_nothing_between_calls<T: Sync>() {}
            keeps_nothing_between_calls::<$plugin>();
        };
        $crate::__export!("true", $plugin: $($point),+);
    };
    ($plugin:ty : $($point:ident),+ $(,)?) => {
        $crate::__export!("false", $plugin: $($point),+);
        $crate::__mark_cycles!($($point)+);
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __mark_cycles {
    (PreFilter $($rest:ident)*) => {};
    ($first:ident $($rest:ident)*) => { $crate::__mark_cycles!($($rest)*); };
    () => {
        #[cfg(target_family = "wasm")]
        const _: () = {
            #[unsafe(no_mangle)]
            extern "C" fn prefilter() -> i32 {
                $crate::abi::begin_cycle()
            }
        };
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __export {
    ($pure:literal, $plugin:ty : $($point:ident),+) => {
        $crate::__loadable!($($point)+);
        $($crate::__check_point!($plugin, $point);)+

        #[cfg(target_family = "wasm")]
        const _: () = {
            static PLUGIN: $crate::abi::Slot<$plugin> = $crate::abi::Slot::new();

            #[unsafe(no_mangle)]
            extern "C" fn _start() {
                PLUGIN.start(env!("CARGO_PKG_NAME"))
            }

            #[unsafe(export_name = "weir.settings_error")]
            extern "C" fn settings_error() -> u64 {
                PLUGIN.settings_error(env!("CARGO_PKG_NAME"))
            }

            $($crate::__export_point!($point);)+

            const ABOUT: &str = concat!(
                "{\"abi\":2,\"plugin\":\"", env!("CARGO_PKG_NAME"),
                "\",\"version\":\"", env!("CARGO_PKG_VERSION"),
                "\",\"points\":[", $crate::__points!($($point)+), "],\"pure\":", $pure, ",\"inline\":true}",
            );
            #[used]
            #[unsafe(link_section = "weir.dev/guest")]
            static SECTION: [u8; ABOUT.len()] = $crate::abi::bytes(ABOUT);
        };
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __loadable {
    (Filter $($rest:ident)*) => {};
    (Score $($rest:ident)*) => {};
    (Reserve $($rest:ident)*) => {};
    (Permit $($rest:ident)*) => {};
    (Bind $($rest:ident)*) => {};
    ($first:ident $($rest:ident)*) => { $crate::__loadable!($($rest)*); };
    () => {
        compile_error!(
            "kube-scheduler-wasm-extension loads a module only if it exports one of Filter, Score, Reserve, Permit, Bind"
        );
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __points {
    ($first:ident $($rest:ident)*) => {
        concat!("\"", stringify!($first), "\"" $(, ",\"", stringify!($rest), "\"")*)
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __check_point {
    ($plugin:ty, NormalizeScore) => {
        compile_error!("NormalizeScore gives scores back in random order; return 0 to 100 from `score` instead");
    };
    ($plugin:ty, $point:ident) => {
        const _: fn() = || {
            fn implements<T: $crate::Plugin + $crate::$point>() {}
            implements::<$plugin>();
        };
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __export_point {
    (Filter) => {
        #[unsafe(no_mangle)]
        extern "C" fn filter() -> i32 {
            PLUGIN.filter()
        }
    };
    (Score) => {
        #[unsafe(no_mangle)]
        extern "C" fn score() -> i64 {
            PLUGIN.score()
        }
    };
    (PreFilter) => {
        #[unsafe(no_mangle)]
        extern "C" fn prefilter() -> i32 {
            PLUGIN.pre_filter()
        }
    };
    (PreScore) => {
        #[unsafe(no_mangle)]
        extern "C" fn prescore() -> i32 {
            PLUGIN.pre_score()
        }
    };
    (EnqueueExtensions) => {
        #[unsafe(no_mangle)]
        extern "C" fn enqueue() {
            PLUGIN.enqueue()
        }
    };
    (PostFilter) => {
        #[unsafe(no_mangle)]
        extern "C" fn postfilter() -> i64 {
            PLUGIN.post_filter()
        }
    };
    (PreFilterExtensions) => {
        #[unsafe(no_mangle)]
        extern "C" fn addpod() -> i32 {
            PLUGIN.add_pod()
        }

        #[unsafe(no_mangle)]
        extern "C" fn removepod() -> i32 {
            PLUGIN.remove_pod()
        }
    };
    (Reserve) => {
        #[unsafe(no_mangle)]
        extern "C" fn reserve() -> i32 {
            PLUGIN.reserve()
        }

        #[unsafe(no_mangle)]
        extern "C" fn unreserve() {
            PLUGIN.unreserve()
        }
    };
    (Permit) => {
        #[unsafe(no_mangle)]
        extern "C" fn permit() -> i64 {
            PLUGIN.permit()
        }
    };
    (PreBind) => {
        #[unsafe(no_mangle)]
        extern "C" fn prebind() -> i32 {
            PLUGIN.pre_bind()
        }
    };
    (Bind) => {
        #[unsafe(no_mangle)]
        extern "C" fn bind() -> i32 {
            PLUGIN.bind()
        }
    };
    (PostBind) => {
        #[unsafe(no_mangle)]
        extern "C" fn postbind() {
            PLUGIN.post_bind()
        }
    };
}

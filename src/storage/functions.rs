//! SQL functions that both databases have.

use diesel::sql_types::Text;

diesel::define_sql_function! {
    /// Of ASCII letters only, in both databases.
    fn lower(text: Text) -> Text;
}

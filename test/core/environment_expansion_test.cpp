// SPDX-License-Identifier: BSL-1.0
#include "core/environment_expansion.hpp"

#include <boost/system/system_error.hpp>
#include <conn_grpc/error.hpp>
#include <string>
#include <utility>

#include "support/catch.hpp"
#include "support/environment_variable.hpp"

using conn_grpc::core::expand_environment;
using conn_grpc::test::environment_variable;
using conn_grpc::test::has_text;

TEST_CASE("variables are expanded as in a shell", "[expansion]") {
  const environment_variable host("CONN_GRPC_HOST", "10.0.0.1");
  const environment_variable empty("CONN_GRPC_EMPTY", "");
  const environment_variable unset("CONN_GRPC_UNSET", std::nullopt);
  const environment_variable tricky("CONN_GRPC_TRICKY", "\"}${CONN_GRPC_HOST}\n\\$${");
  const auto [text, expanded] = GENERATE(table<std::string, std::string>({
      {"", ""},
      {"plain $HOST {} $ $$ } %", "plain $HOST {} $ $$ } %"},
      {"${CONN_GRPC_HOST}", "10.0.0.1"},
      {"a${CONN_GRPC_HOST}:${CONN_GRPC_HOST}b", "a10.0.0.1:10.0.0.1b"},
      {"${CONN_GRPC_HOST:-x}", "10.0.0.1"},
      {"${CONN_GRPC_EMPTY}", ""},
      {"${CONN_GRPC_EMPTY:-x}", "x"},
      {"${CONN_GRPC_UNSET:-x}", "x"},
      {"${CONN_GRPC_UNSET:-}", ""},
      {"${CONN_GRPC_UNSET:-a:-b $c \"d\"}", "a:-b $c \"d\""},
      {"$${CONN_GRPC_HOST}", "${CONN_GRPC_HOST}"},
      {"$$${CONN_GRPC_HOST}", "$${CONN_GRPC_HOST}"},
      {"$${${CONN_GRPC_HOST}}", "${10.0.0.1}"},
      {"$ ${CONN_GRPC_HOST}", "$ 10.0.0.1"},
      {"$${", "${"},
      {"${CONN_GRPC_TRICKY}", "\"}${CONN_GRPC_HOST}\n\\$${"},  // expanded once, not again
  }));
  CAPTURE(text);
  CHECK(expand_environment(text, "field") == expanded);
}

TEST_CASE("a text that cannot be expanded is rejected with the name of the field", "[expansion]") {
  const environment_variable unset("CONN_GRPC_UNSET", std::nullopt);
  const auto [text, why] = GENERATE(table<std::string, std::string>({
      {"${CONN_GRPC_UNSET}", "the environment variable CONN_GRPC_UNSET is not set"},
      {"a${", "a ${ without its } in \"a${\""},
      {"${A:-b", "a ${ without its } in \"${A:-b\""},
      {"${}", "\"${}\" does not name an environment variable"},
      {"${:-a}", "\"${:-a}\" does not name"},
      {"${1A}", "\"${1A}\" does not name"},
      {"${A B}", "\"${A B}\" does not name"},
      {"${A-b}", "\"${A-b}\" does not name"},
      {"${A:b}", "\"${A:b}\" does not name"},
      {"${A:=b}", "\"${A:=b}\" does not name"},
      {"${\xC3\xA4}", "does not name"},
      {"${CONN_GRPC_UNSET:-${A}}", "a default cannot have another ${ in it"},
  }));
  CAPTURE(text);
  try {
    (void)expand_environment(text, "a.b");
    FAIL("accepted");
  } catch (const boost::system::system_error& e) {
    CHECK(e.code() == conn_grpc::errc::invalid_options);
    CHECK_THAT(e.what(), Catch::Matchers::StartsWith("a.b: ") && has_text(why));
  }
}

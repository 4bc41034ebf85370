"""The command lines of the original simulator's description, as printed there (without comments)."""

COMMANDS = """\
python run.py --scenario normal_day --dry-run --dashboard
python run.py --scenario normal_day --nexum-url http://localhost:8090 --dashboard
python run.py --scenario normal_day --nexum-url http://localhost:8090 --bastion-url http://localhost:8080 --dashboard
python run.py --scenario fraud_attack --nexum-url http://localhost:8090 --bastion-url http://localhost:8080 --dashboard
python run.py --scenario my_test --dry-run --dashboard
python run.py --scenario normal_day --dashboard
python run.py --scenario fraud_attack --speed 200 --dashboard
python run.py --validate-scenario scenarios/my_scenario.yaml
python run.py --scenario scenarios/my_scenario.yaml --dry-run --dashboard
python run.py --scenario normal_day --kafka-servers localhost:9092,broker2:9092
python run.py --scenario normal_day --no-kafka --dashboard
python run.py --list-scenarios
python run.py --scenario normal_day --dry-run --verbose
python run.py --scenario normal_day --customers 10 --speed 1000 --dry-run --dashboard
python run.py --scenario fraud_attack --speed 500 --dashboard
python run.py --scenario normal_day --speed 1 --dashboard
python run.py --scenario peak_load --customers 5000 --speed 50
python run.py --scenario normal_day --nexum-url http://staging-nexum:8090
python run.py --scenario fraud_attack --bastion-url https://bastion.company.com
python run.py --scenario normal_day --nexum-url http://dev-nexum:8090 --bastion-url http://dev-bastion:8080 --dashboard
python run.py --scenario peak_load --dry-run --no-kafka --speed 1000
python run.py --scenario normal_day --dashboard --dashboard-port 8080
python run.py --scenario normal_day
python run.py --validate-scenario scenarios/new_scenario.yaml
python run.py --scenario scenarios/new_scenario.yaml --dry-run --dashboard
python run.py --scenario scenarios/new_scenario.yaml --customers 5 --speed 2000
python run.py --scenario normal_day --customers 1 --speed 1 --verbose
python run.py --scenario peak_load --dry-run --no-kafka --customers 10000 --speed 100
python run.py --scenario normal_day --speed 10 --dashboard
python run.py --scenario fraud_attack --speed 50 --dashboard
python run.py --scenario peak_load --nexum-url http://prod-nexum:8090 --customers 1000
python run.py --scenario base_scenario --customers 1000 --speed 200
python run.py --scenario normal_day --dry-run
python run.py --scenario normal_day --customers 10 --dashboard
python run.py --scenario fraud_attack --dry-run --speed 1000
python run.py --scenario peak_load --speed 500 --customers 5000
python run.py --scenario normal_day --dashboard-port 8096
python run.py --scenario peak_load --customers 500 --dashboard
python run.py --scenario normal_day --customers 50 --speed 1000
python run.py --scenario peak_load --dry-run --speed 1000
python run.py --scenario normal_day --no-kafka
python run.py --scenario normal_day --verbose --dry-run
python run.py --scenario normal_day --customers 10 --speed 500 --dry-run --dashboard
python run.py --scenario fraud_attack --customers 100 --speed 100 --dashboard
python run.py --scenario peak_load --customers 10000 --speed 1 --no-kafka --dry-run
python run.py --scenario normal_day --customers 5000 --speed 10 --dashboard
python run.py --scenario normal_day --customers 1 --speed 1 --dry-run --verbose
python run.py --scenario normal_day --customers 1 --speed 10 --dry-run --dashboard
""".splitlines()
